"""Buffer: memory that several storages use one after the other."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array
from pycaffe_lite.storage import apart


class Buffer:
    """Memory that grows to what the largest of its users needs.

    Memory of which somebody still holds an array is never handed out again: that array keeps its numbers, and the
    buffer takes other memory. Users leave their own arrays here while it is others' turn, and find them again.
    """

    __slots__ = ("_left", "_memory", "_references", "size")

    def __init__(self, size: int = 0) -> None:
        self.size = size
        """Bytes that are known to be needed."""
        self._memory: Array | None = None
        self._left: dict[Hashable, Sequence[Array]] = {}
        self._references = 0
        """How many there are to the memory while nobody but those who left arrays has any."""

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

    def leave(self, user: Hashable, arrays: Sequence[Array]) -> None:
        """Keep all of its arrays for a user, which nobody else has ever been given, nor parts of them; if they are of
        the memory that there is now.
        """
        if self._memory is not None and arrays[0].base is self._memory.base:
            self._left[user] = arrays
            self._references += len(arrays)

    def find(self, user: Hashable) -> Sequence[Array]:
        """What this user left, when nobody uses the memory; nothing where it is another one by now or is held."""
        arrays = self._left.get(user, ())
        if not arrays:
            return ()
        if self._is_held():
            self.give_away()
            return ()
        self._references -= len(arrays)
        return self._left.pop(user)

    def give_away(self) -> None:
        """Leave the memory to those who have arrays of it."""
        self._memory = None
        self._left.clear()

    def _is_held(self) -> bool:
        return self._holders() != self._references

    def _holders(self) -> int:
        """Arrays refer to the one that owns their memory, whatever they are views of."""
        assert self._memory is not None
        return sys.getrefcount(self._memory.base)
