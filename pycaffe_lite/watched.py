"""WatchedStorage: memory of which it is known whether anybody can have written into it since last time.

Learnable blobs live in it, so that a layer may keep what it made of its weights: a copy in another order, a product.
Two things are known. Which arrays are lent out: every array of the memory that anybody outside was given was made by
`lend`, and numpy lets whatever is made from it (slices, reshapes, memoryviews, ctypes pointers, other libraries'
tensors) refer to it, since its own base is no array; so as long as any of that is there, the array is, and a weak
reference to it shows it. And how often something was lent: who has written and let go had to ask before. An address
kept as a bare number, without the array it was asked of, is no permission to write, here as in numpy.

The framework itself reads through `plain`, and writes through what it is lent, like everybody; a solver, which writes
all of it in every iteration, through `plain`, and notes it.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
import weakref
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.storage import Storage

_numbers = itertools.count(1)
_lending = threading.RLock()


def note_change() -> int:
    """Say that what was made of some numbers, or they themselves, may be otherwise. Returns WatchedStorage.changes."""
    WatchedStorage.changes = number = next(_numbers)
    return number


class WatchedStorage(Storage):
    """A Storage that lends its memory. It is never laid in another order, and its slices are watched as well."""

    __slots__ = ("_change", "_lease", "_lent")

    changes: ClassVar[int] = 0
    """Another number whenever the version of any of them is another: what was made of numbers that nobody could write
    is as it was while this stays the same.
    """

    def __init__(self, dtype: npt.DTypeLike = np.float32, count: int = 0) -> None:
        super().__init__(dtype, count)
        self._change = note_change()
        self._lease: Any = None
        self._lent: list[weakref.ref[Array]] = []

    def array(self) -> Array:
        return self.lend((self.count,))

    def lend(self, shape: Shape) -> Array:
        """The first numbers as an array of this shape: the one that is out already, or a new one."""
        with _lending:
            for reference in self._lent:
                array = reference()
                if array is not None and array.shape == shape:
                    return array
            memory = self.plain()
            if self._lease is None:
                self._lease = (ctypes.c_char * memory.nbytes).from_buffer(memory.data)
            array = np.ndarray(shape, self.dtype, self._lease)
            self._lent = [reference for reference in self._lent if reference() is not None]
            self._lent.append(weakref.ref(array))
            self._change = note_change()
        return array

    def version(self) -> int | None:
        """A number that is the same as last time if nobody can have written since; None while somebody can."""
        for reference in self._lent:
            if reference() is not None:
                return None
        if isinstance(self._parent, WatchedStorage):
            whole = self._parent.version()
            return None if whole is None else max(self._change, whole)
        return self._change

    def note_writing(self) -> None:
        """Say that `plain` was written into."""
        with _lending:
            self._change = note_change()

    def require(self, count: int) -> None:
        if count > self.count:
            self._lease, self._lent, self._change = None, [], note_change()
        super().require(count)

    def clear(self) -> None:
        super().clear()
        self._change = note_change()
