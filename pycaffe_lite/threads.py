"""Passes over memory in several threads at once: numpy lets go of the interpreter while it computes.

As many threads as numpy's matrix products use (`set_num_threads`, else the environment) each take one contiguous part.
Parts must not depend on one another, and what they compute not on where they begin: results are the same to the bit
whatever the number of threads. Parts that multiply matrices say so: the BLAS then has no threads of its own meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np

from pycaffe_lite import _blas
from pycaffe_lite._typing import Array

LEAST = 1 << 18
"""Bytes of a part. Waking a thread takes 20 to 30 microseconds; measured, twice this much is done 1.5 times as fast by
two threads, and half of it no faster than by one.
"""
VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")
"""Those of the libraries behind numpy's matrix products, the more particular first."""

Part = Callable[[int, int], object]
"""Does what belongs to numbers or items start .. stop."""

_chosen: int | None = None
_workers = threading.local()
_tasks: SimpleQueue[_Task] = SimpleQueue()
_started = 0
_starting = threading.Lock()


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_threads() -> int:
    """How many threads numpy's passes use."""
    return _chosen or _default()


def set_num_threads(count: int | None) -> None:
    """Use so many from now on; None for what the environment says, else as many as there are cores."""
    global _chosen
    _chosen = count


@functools.cache
def _default() -> int:
    for name in VARIABLES:
        number = os.environ.get(name, "").split(",")[0].strip()
        if number.isdecimal() and int(number):
            return int(number)
    return cores()


def here() -> int:
    """Which part this thread is at: 0 is the first, which the one that asks takes itself, and also says no part."""
    return getattr(_workers, "number", 0)


def in_parts(function: Part, count: int, nbytes: int, *, products: bool = False) -> None:
    """Call `function(start, stop)` for contiguous parts of range(count), at once; for the whole of it where `nbytes`,
    the size of the array that is written, is too little for threads to pay. With `products` it multiplies matrices, and
    is called for the whole where the BLAS cannot be told to use one thread (without the package threadpoolctl).

    What a part raises is raised when all of them have come to an end.
    """
    parts = min(num_threads(), count, nbytes // LEAST)
    if parts < 2 or here() or (products and not _blas.obeys()) or not _start(parts - 1):
        function(0, count)
        return
    with _blas.one_thread() if products else contextlib.nullcontext():
        _run(function, count, parts)


def _run(function: Part, count: int, parts: int) -> None:
    bounds = [count * i // parts for i in range(parts + 1)]
    done: SimpleQueue[None] = SimpleQueue()
    tasks = [_Task(function, i, *part, done) for i, part in enumerate(itertools.pairwise(bounds))]
    for task in tasks[1:]:
        _tasks.put(task)
    tasks[0].run()
    interrupted = None
    while not all(task.over for task in tasks):
        try:
            done.get()
        except KeyboardInterrupt as e:  # whoever goes on must not find others at work
            interrupted = e
    for error in (interrupted, *(task.error for task in tasks)):
        if error is not None:
            raise error


def each(function: Callable[..., object], *arrays: Array) -> None:
    """`function(*arrays)`, in parts, where every place of the arrays is computed by itself. They have the shape of the
    first, or 1 along axes along which they are the same.
    """
    first = arrays[0]
    if first.nbytes < 2 * LEAST or num_threads() == 1:
        function(*arrays)
        return
    axis = outermost(first)
    before = (slice(None),) * axis

    def part(start: int, stop: int) -> None:
        places = (*before, slice(start, stop))
        function(*(array if array.shape[axis] == 1 else array[places] for array in arrays))

    in_parts(part, first.shape[axis], first.nbytes)


def outermost(array: Array) -> int:
    """The axis along which parts of an array lie apart in memory."""
    return max(range(array.ndim), key=lambda axis: (array.shape[axis] > 1, abs(array.strides[axis])))


class _Task:
    """One part, and what became of it."""

    __slots__ = ("_done", "_function", "_start", "_stop", "error", "number", "over")

    def __init__(self, function: Part, number: int, start: int, stop: int, done: SimpleQueue[None]) -> None:
        self._function, self._start, self._stop, self._done = function, start, stop, done
        self.number = number
        self.over = False
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._function(self._start, self._stop)
        except BaseException as e:  # KeyboardInterrupt too: raised in the end
            self.error = e
        self.over = True
        self._done.put(None)


def _start(count: int) -> bool:
    """Whether so many workers wait for tasks, which they do for as long as the process lives."""
    global _started
    if sys.is_finalizing():
        return False
    while _started < count:
        with _starting:
            if _started < count:
                try:
                    threading.Thread(target=_work, args=(_tasks,), name="pass", daemon=True).start()
                except RuntimeError:  # the interpreter is about to end, or the system has no more threads
                    return False
                _started += 1
    return True


def _work(tasks: SimpleQueue[_Task]) -> None:
    np.seterr(all="ignore")  # numpy keeps this by thread; nets' passes ignore them all
    while True:
        task = tasks.get()
        _workers.number = task.number
        task.run()


def _forget_workers() -> None:
    """In a process that was forked there are none, and whoever held the lock is not there either."""
    global _tasks, _started, _starting
    _tasks, _started, _starting = SimpleQueue(), 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
