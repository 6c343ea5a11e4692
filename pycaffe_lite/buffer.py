"""Buffer: memory that several storages use one after the other."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array
from pycaffe_lite.memory import apart


class Buffer:
    """Memory that grows to what the largest of its users needs.

    Memory of which somebody still holds an array is never handed out again: that array keeps its numbers, and the
    buffer takes other memory. Users may keep their own arrays while it is others' turn, and say so.
    """

    __slots__ = ("_memory", "_references", "size")

    def __init__(self, size: int = 0) -> None:
        self.size = size
        """Bytes that are known to be needed."""
        self._memory: Array | None = None
        self._references = 0
        """How many there are to the memory while nobody has any but those who wait."""

    @property
    def held(self) -> int:
        """Bytes of memory that have been taken."""
        return 0 if self._memory is None else self._memory.nbytes

    def take(self, count: int, dtype: npt.DTypeLike) -> Array:
        """A flat array of undefined numbers. Raises MemoryLimitError."""
        nbytes = count * np.dtype(dtype).itemsize
        if self._memory is None or self._memory.nbytes < nbytes or self._is_held():
            self.give_away()
            self.size = max(self.size, nbytes)
            self._memory = apart(self.size)
            self._references = self._holders()
        return self._memory[:nbytes].view(dtype)

    def wait(self, array: Array, count: int) -> None:
        """Note that a user whose turn is over keeps `count` arrays of the memory, this and others that nobody else was
        ever given, nor parts of them; unless they are of memory that there was before.
        """
        if self._memory is not None and array.base is self._memory.base:
            self._references += count

    def resume(self, array: Array, count: int) -> bool:
        """Whether who noted this with `wait` may use the arrays again: not where the memory is another one by now or
        somebody holds it. Nobody else may be using it.
        """
        if self._memory is None or array.base is not self._memory.base:
            return False
        if self._is_held():
            self.give_away()
            return False
        self._references -= count
        return True

    def give_away(self) -> None:
        """Leave the memory to those who have arrays of it."""
        self._memory = None

    def _is_held(self) -> bool:
        return self._holders() != self._references

    def _holders(self) -> int:
        """Arrays refer to the one that owns their memory, whatever they are views of."""
        assert self._memory is not None
        return sys.getrefcount(self._memory.base)
