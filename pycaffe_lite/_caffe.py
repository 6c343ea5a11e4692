"""The names of pycaffe's compiled module, `caffe._caffe`, for scripts that import from there.

Its vectors are plain lists here.
"""

from pycaffe_lite._mode import set_device, set_mode_cpu, set_mode_gpu
from pycaffe_lite._parallel import (
    NCCL,
    has_nccl,
    set_multiprocess,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from pycaffe_lite._random import set_random_seed
from pycaffe_lite.blob import Blob
from pycaffe_lite.blob_vec import BlobVec
from pycaffe_lite.glog import init_log, log
from pycaffe_lite.layer import Layer
from pycaffe_lite.net import Net
from pycaffe_lite.registry import layer_types as layer_type_list
from pycaffe_lite.solvers import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    Solver,
    get_solver,
)
from pycaffe_lite.solvers.settings import Settings as SolverParameter
from pycaffe_lite.timer import Timer

BoolVec = DtypeVec = IntVec = LayerVec = NetVec = RawBlobVec = StringVec = list

__all__ = [
    "NCCL",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "BlobVec",
    "BoolVec",
    "DtypeVec",
    "IntVec",
    "Layer",
    "LayerVec",
    "NesterovSolver",
    "Net",
    "NetVec",
    "RMSPropSolver",
    "RawBlobVec",
    "SGDSolver",
    "Solver",
    "SolverParameter",
    "StringVec",
    "Timer",
    "get_solver",
    "has_nccl",
    "init_log",
    "layer_type_list",
    "log",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
]
