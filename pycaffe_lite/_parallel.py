"""pycaffe's names for training on several GPUs.

There is one worker, on the CPU: the numbers are kept for scripts that ask for them again, and what would need other
workers says so.
"""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from pycaffe_lite.errors import CaffeError

log = logging.getLogger(__name__)

_count = 1
_rank = 0
_multiprocess = False


def solver_count() -> int:
    """How many solvers train together, as set by `set_solver_count`; 1 at first."""
    return _count


def set_solver_count(count: int) -> None:
    """Keep the number of solvers. More than one is logged as a warning: this one trains by itself all the same."""
    global _count
    _count = int(count)
    if _count > 1:
        log.warning("solver_count is %d: there is no training on several devices, each solver trains alone", _count)


def solver_rank() -> int:
    """Which of the solvers this is, as set by `set_solver_rank`; 0 at first."""
    return _rank


def set_solver_rank(rank: int) -> None:
    """Keep the solver's number."""
    global _rank
    _rank = int(rank)


def set_multiprocess(value: bool) -> None:
    """Keep whether each solver has a process of its own; nothing depends on it."""
    global _multiprocess
    _multiprocess = bool(value)


def has_nccl() -> bool:
    """False: there are no GPUs to connect."""
    return False


class NCCL:
    """pycaffe's link between solvers on several GPUs. There is none: making one raises CaffeError."""

    def __init__(self, solver: Any, uid: str) -> None:
        _no_nccl()

    @staticmethod
    def new_uid() -> str:
        """Raises CaffeError."""
        _no_nccl()

    def bcast(self) -> None:
        """Raises CaffeError."""
        _no_nccl()


def _no_nccl() -> NoReturn:
    raise CaffeError(
        "NCCL connects GPUs, and pycaffe-lite computes on the CPU",
        hint="Train with one solver: leave NCCL out where caffe.has_nccl() is False.",
    )
