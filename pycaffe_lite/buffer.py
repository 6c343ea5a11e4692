"""Buffer: memory that several storages use one after the other."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array
from pycaffe_lite.storage import aligned


class Buffer:
    """Memory that grows to what the largest of its users needs.

    Memory of which somebody still holds an array is never handed out again: that array keeps its numbers, and the
    buffer takes other memory.
    """

    __slots__ = ("_alone", "_memory", "size")

    def __init__(self, size: int = 0) -> None:
        self.size = size
        """Bytes that are known to be needed."""
        self._memory: Array | None = None
        self._alone = 0

    @property
    def held(self) -> int:
        """Bytes of memory that have been taken."""
        return 0 if self._memory is None else self._memory.nbytes

    def take(self, count: int, dtype: npt.DTypeLike) -> Array:
        """A flat array of undefined numbers. Raises MemoryLimitError."""
        nbytes = count * np.dtype(dtype).itemsize
        if self._memory is None or self._memory.nbytes < nbytes or self._holders() != self._alone:
            self._memory = None
            self.size = max(self.size, nbytes)
            self._memory = aligned(self.size, np.uint8)
            self._alone = self._holders()
        return self._memory[:nbytes].view(dtype)

    def give_away(self) -> None:
        """Leave the memory to those who have arrays of it."""
        self._memory = None

    def _holders(self) -> int:
        """Arrays refer to the one that owns their memory, whatever they are views of."""
        assert self._memory is not None
        return sys.getrefcount(self._memory.base)
