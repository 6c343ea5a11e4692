"""Caffe's files as messages and arrays, and back."""

from pycaffe_lite.schema.blobs import array_to_blobproto, blobproto_to_array, read_binaryproto, write_binaryproto
from pycaffe_lite.schema.hdf5 import (
    read_solverstate_hdf5,
    read_weights_hdf5,
    write_solverstate_hdf5,
    write_weights_hdf5,
)
from pycaffe_lite.schema.positions import Positions
from pycaffe_lite.schema.solverstate import SolverState, read_solverstate, write_solverstate
from pycaffe_lite.schema.text import parse_text, read_net, read_solver, read_text, write_text
from pycaffe_lite.schema.weights import LayerWeights, read_caffemodel, write_caffemodel

__all__ = [
    "LayerWeights",
    "Positions",
    "SolverState",
    "array_to_blobproto",
    "blobproto_to_array",
    "parse_text",
    "read_binaryproto",
    "read_caffemodel",
    "read_net",
    "read_solver",
    "read_solverstate",
    "read_solverstate_hdf5",
    "read_text",
    "read_weights_hdf5",
    "write_binaryproto",
    "write_caffemodel",
    "write_solverstate",
    "write_solverstate_hdf5",
    "write_text",
    "write_weights_hdf5",
]
