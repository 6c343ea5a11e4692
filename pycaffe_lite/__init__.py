"""Caffe without the build: load, inspect and train any Caffe network with numpy.

The names are pycaffe's::

    import pycaffe_lite as caffe

    net = caffe.Net("deploy.prototxt", caffe.TEST, weights="net.caffemodel")
    net.blobs["data"].data[...] = image
    prob = net.forward()["prob"]

`layers` is what a NetSpec is made of, as in pycaffe; the layers' own modules are the package pycaffe_lite.layers.
"""

from pycaffe_lite import _caffe, io, pycaffe  # noqa: F401  caffe._caffe and caffe.pycaffe need no import of their own
from pycaffe_lite._caffe import (
    NCCL,
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    Blob,
    Layer,
    NesterovSolver,
    Net,
    RMSPropSolver,
    SGDSolver,
    Timer,
    get_solver,
    has_nccl,
    init_log,
    layer_type_list,
    log,
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_multiprocess,
    set_random_seed,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from pycaffe_lite._install import install_as_caffe
from pycaffe_lite._old_names import package_attribute as __getattr__  # noqa: F401
from pycaffe_lite.classifier import Classifier
from pycaffe_lite.detector import Detector
from pycaffe_lite.engines import engine, set_engine, set_num_threads
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net_spec import NetSpec, layers, params, to_proto
from pycaffe_lite.proto.caffe_pb2 import TEST, TRAIN

__version__ = "0.1.0"

__all__ = [
    "NCCL",
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "CaffeError",
    "Classifier",
    "Detector",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
    "engine",
    "get_solver",
    "has_nccl",
    "init_log",
    "install_as_caffe",
    "io",
    "layer_type_list",
    "layers",
    "log",
    "params",
    "set_device",
    "set_engine",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_num_threads",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
]
