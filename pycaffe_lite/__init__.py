"""Caffe without the build: load, inspect and train any Caffe network with numpy.

The names are pycaffe's::

    import pycaffe_lite as caffe

    net = caffe.Net("deploy.prototxt", caffe.TEST, weights="net.caffemodel")
    net.blobs["data"].data[...] = image
    prob = net.forward()["prob"]
"""

import logging as _logging

from pycaffe_lite import layers as _layers  # noqa: F401  registers the layer types
from pycaffe_lite._mode import set_device, set_mode_cpu, set_mode_gpu
from pycaffe_lite._random import set_random_seed
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layer import Layer
from pycaffe_lite.net import Net
from pycaffe_lite.proto.caffe_pb2 import TEST, TRAIN
from pycaffe_lite.registry import layer_types as layer_type_list
from pycaffe_lite.solvers import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    get_solver,
)

__version__ = "0.1.0"

__all__ = [
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "CaffeError",
    "Layer",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
    "get_solver",
    "layer_type_list",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_random_seed",
]

_logging.getLogger(__name__).addHandler(_logging.NullHandler())  # quiet until somebody asks for logs
