"""The types of solvers: who implements which, and the solver that a file asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from pycaffe_lite._files import PathLike
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import Registry
from pycaffe_lite.solvers.solver_file import SolverFile

if TYPE_CHECKING:
    from pycaffe_lite.solvers.solver import Solver

_S = TypeVar("_S", bound="type[Solver]")

solver_types: Registry[type[Solver]] = Registry("solver type")


def register_solver(type_name: str) -> Callable[[_S], _S]:
    """Class decorator: this Solver subclass is meant by `type: type_name`."""

    def decorate(cls: _S) -> _S:
        solver_types.add(type_name, cls)
        cls.type = type_name
        return cls

    return decorate


def get_solver(
    solver_file: PathLike | pb.SolverParameter,
    *,
    weights: Sequence[str] | None = None,
    level: int = 0,
    stages: Sequence[str] = (),
) -> Solver:
    """The solver that the file asks for by its type; the rest is as for Solver.

    Raises UnknownTypeError for a type that nobody registered.
    """
    file = SolverFile.read(solver_file)
    with file.blame():
        cls = solver_types[file.message.type]
    return cls(file, weights=weights, level=level, stages=stages)
