"""The library behind numpy's matrix products, held to one thread while several threads of ours multiply."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import Any

from pycaffe_lite import _extras
from pycaffe_lite.errors import MissingPackageError

_lock = threading.Lock()
_before: list[list[int]] = []
"""How many threads it had, for each of those that hold it to one."""


def obeys() -> bool:
    """Whether its threads can be limited: not without the package threadpoolctl, nor all libraries."""
    return bool(_libraries())


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let every product use one thread, in this thread and all others. It takes some microseconds."""
    with _lock:
        _before.append([library.get_num_threads() for library in _libraries()])
        _set([1] * len(_libraries()))
    try:
        yield
    finally:
        with _lock:
            numbers = _before.pop()
            if not _before:  # the first of those who came to limit it has found what it had
                _set(numbers)


def _set(numbers: list[int]) -> None:
    for library, number in zip(_libraries(), numbers, strict=True):
        library.set_num_threads(number)


@functools.cache
def _libraries() -> list[Any]:
    try:
        threadpoolctl = _extras.require("threadpoolctl", "limit the threads of matrix products")
    except MissingPackageError:
        return []
    return [c for c in threadpoolctl.ThreadpoolController().lib_controllers if c.user_api == "blas"]


def _forget() -> None:
    """In a process that was forked, those who held the lock or limited the threads are not there."""
    global _lock
    _lock = threading.Lock()
    if _before:
        _set(_before[0])
        _before.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
