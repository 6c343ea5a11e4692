"""Solvers: the training loop, and what each type makes of a gradient."""

from pycaffe_lite.solvers.adadelta import AdaDeltaSolver
from pycaffe_lite.solvers.adagrad import AdaGradSolver
from pycaffe_lite.solvers.adam import AdamSolver
from pycaffe_lite.solvers.display import Event, Watcher
from pycaffe_lite.solvers.lr_policy import Progress, register_lr_policy
from pycaffe_lite.solvers.nesterov import NesterovSolver
from pycaffe_lite.solvers.rmsprop import RMSPropSolver
from pycaffe_lite.solvers.sgd import SGDSolver
from pycaffe_lite.solvers.signals import Action, SignalActions
from pycaffe_lite.solvers.solver import Solver
from pycaffe_lite.solvers.types import get_solver, register_solver

__all__ = [
    "Action",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Event",
    "NesterovSolver",
    "Progress",
    "RMSPropSolver",
    "SGDSolver",
    "SignalActions",
    "Solver",
    "Watcher",
    "get_solver",
    "register_lr_policy",
    "register_solver",
]
