"""Storage: the one place where a blob's numbers live.

A Storage owns a flat run of numbers of one type. It allocates when somebody first looks, may be shared by several blobs
(Split, Flatten, parameters shared by name, a test net), and may itself be a slice of a larger Storage: all learnable
parameters of a net are slices of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import MemoryReusedError
from pycaffe_lite.memory import aligned, check_memory
from pycaffe_lite.order import Order

if TYPE_CHECKING:
    from pycaffe_lite.blob import Blob
    from pycaffe_lite.buffer import Buffer


class Storage:
    """A flat run of `dtype` numbers, allocated (all of them `initial`) at the first look.

    `array()` is the plain host array, always up to date; writing into it counts. A storage that is `free` may hold its
    newest numbers in another order, `laid`, until somebody asks for the array: they are then put in order, and stay so
    from there on, because nobody knows when an array that has been handed out is read or written.

    Storages that are free may have the same numbers in one memory (`take_numbers`) until one of them is written or
    looked at: that one then takes memory of its own. Numbers may also lack a step that is only done for somebody who
    looks (`leave_unfinished`).

    Numbers that are not yet what they count as, what `array()` does about it, and what ends it otherwise:

        initial     fills the memory               clear
        laid        puts them in order             lay, lay_plain
        spares      takes memory of its own        lay, lay_plain
        unfinished  does the step that is lacking  lay, lay_plain
        forgotten   writes 0, or what they are     recall, clear
                    `_instead`
        lost        raises MemoryReusedError       regain

    With a `buffer` the memory is that buffer's, which other storages use at other times: what has been lost to one of
    them cannot be asked for, until it is computed again.
    """

    __slots__ = (
        "_count",
        "_instead",
        "_kept",
        "_offset",
        "_parent",
        "_unfinished",
        "buffer",
        "dtype",
        "elsewhere",
        "flat",
        "forgotten",
        "free",
        "initial",
        "laid",
        "lost",
        "order",
        "settled",
        "spares",
        "writes",
    )

    def __init__(self, dtype: npt.DTypeLike = np.float32, count: int = 0) -> None:
        self.dtype: np.dtype[np.generic] = np.dtype(dtype)
        self.initial = 0.0
        self._count = count
        self.flat: Array | None = None
        """The plain memory, if it has been taken; its numbers are the newest unless some are `laid`, unfinished or
        forgotten.
        """
        self.settled: Array | None = None
        """What `array` returns, while there is nothing to do before."""
        self._parent: Storage | None = None
        self._offset = 0
        self.spares: list[Array] | None = None
        """While others may have their numbers in the same memory: a list that all of them share, of memory for each but
        one of them.
        """
        self._unfinished: tuple[Array, Callable[[Array], Array]] | None = None
        """What was `laid`, while it lacks a step, and that step."""
        self.free = False
        self.forgotten = False
        """Whether the numbers count as 0, or as those `_instead`, although the memory holds others."""
        self._instead: Array | None = None
        self.laid: Array | None = None
        """The newest numbers in another order, of `order.shape`; None where the plain array is newest."""
        self.order = Order.PLAIN
        self.writes = 0
        """How often the numbers were opened for writing: while the storage is free and this the same, so are they."""
        self.elsewhere: Blob | None = None
        """Whose diff is to be shown in place of these numbers (Blob.show_diff_of)."""
        self.buffer: Buffer | None = None
        self.lost = ""
        """What became of the numbers, to be told to whoever asks for them; '' while they are there."""
        self._kept: Array | None = None
        """The memory while it is lost, if nobody else has ever been given an array of it."""

    @property
    def count(self) -> int:
        """How many numbers there is room for."""
        return self._count

    @property
    def nbytes(self) -> int:
        return self._count * self.dtype.itemsize

    @property
    def allocated(self) -> bool:
        """Whether the memory has been taken; False means that every number is still `initial`."""
        if self.flat is not None or self.laid is not None or self._unfinished is not None:
            return True
        return self._parent is not None and self._parent.allocated

    @property
    def held(self) -> int:
        """Bytes of memory that have been taken, not counting a buffer's or a larger storage's. Where several storages
        have the same numbers, as many as without: each has memory kept for it.
        """
        if self.buffer is not None or self._parent is not None:
            return 0
        unfinished = None if self._unfinished is None else self._unfinished[0]
        return sum(memory.nbytes for memory in (self.flat, self.laid, unfinished) if memory is not None)

    def memories(self) -> list[Storage | Buffer]:
        """Whose `held` is what the numbers are in."""
        if self._parent is not None:
            return self._parent.memories()
        return [self] if self.buffer is None else [self.buffer]

    def require(self, count: int) -> None:
        """Make room for `count` numbers. Growing forgets the old ones; shrinking keeps the room, as in Caffe."""
        if count > self._count:
            self._part()
            self.writes += 1
            self._count = count
            self.flat = self.settled = self.laid = self._kept = self.elsewhere = None
            self._parent = None

    def array(self) -> Array:
        """The numbers, 1-D, `count` of them. The same object until `require` grows the storage."""
        if self.settled is None:
            if self.lost:
                raise self._lost_error()
            self._part(keep=True)
            self.free = False
            self.put_in_order()
            array = self.plain()
            if self.forgotten:
                array[...] = 0 if self._instead is None else self._instead
                self.forgotten, self._instead = False, None
            self.settled = array
        return self.settled

    def leave_free(self) -> None:
        """Let the numbers lie in any order, until somebody asks for the array."""
        self.free, self.settled = True, None

    def put_in_order(self) -> None:
        """Let the plain array be the newest."""
        if self.laid is not None:
            self._part(keep=True)
            laid, self.laid = self.laid, None
            ordered = self.order.plain(laid)
            self.plain()[: laid.size].reshape(ordered.shape)[...] = ordered

    def plain(self) -> Array:
        """As `array`, for those who neither keep it nor ask while `laid` is newer: the storage stays free."""
        if self.flat is None:
            if self._unfinished is not None:
                self._part(keep=True)
                self.put_in_order()
                return self.plain()
            if self._parent is not None:
                self.flat = self._parent.plain()[self._offset : self._offset + self._count]
            elif self.lost:
                raise self._lost_error()
            else:
                self.flat = self._take(self._count)
                if self.initial:
                    self.flat.fill(self.initial)
        return self.flat

    def lay(self, order: Order, shape: Shape) -> None:
        """Let `laid` be memory for numbers of this shape, in an order that is not plain, to be overwritten whole, and
        the newest. The numbers are still there if they lay so before and no other storage has them too. Only for a
        storage that is free.
        """
        self._part()
        lies = order.shape(shape)
        if self.laid is None or self.order is not order or self.laid.shape != lies:
            self.flat = self.laid = None
            self.laid = self._take(math.prod(lies)).reshape(lies)
            self.order = order
        self.writes += 1

    def lay_plain(self) -> None:
        """As `lay`, for plain order."""
        if self.spares is not None or self._unfinished is not None:
            self._part()
        self.laid = None
        self.writes += 1

    def leave_unfinished(self, finish: Callable[[Array], Array]) -> bool:
        """Whether the numbers now lack a step, which is done when somebody asks for them and saved when they are
        overwritten: finish(laid), new memory that lies so. Not, and nothing is done, where somebody may hold the array.
        """
        if not self.free or self.laid is None or self.flat is not None:
            return False
        self._unfinished, self.laid = (self.laid, finish), None
        return True

    def take_numbers(self, other: Storage) -> bool:
        """Whether the numbers are now the other storage's, which lie in plain order or as `lay` was called here before;
        not, and nothing is done, where somebody may hold one of the two arrays. Nothing is copied: until one of the two
        is to be written, or looked at, they have one memory.
        """
        if not (self.free and other.free) or (self.laid is None) is not (other.laid is None):
            return False
        mine, theirs = self._newest(), other._newest()
        if self.order is not other.order and self.laid is not None:
            return False
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            return False
        if other.spares is None:
            other.spares = []
        other.spares.append(mine)
        self.spares = other.spares
        self._put(theirs)
        self.writes += 1
        return True

    def _part(self, keep: bool = False) -> None:
        """Before the memory is written, leave it to others if they have their numbers in it; `keep` keeps the numbers,
        finished.
        """
        finished = None
        if self._unfinished is not None:
            self.laid, finish = self._unfinished
            self._unfinished = None
            finished = finish(self.laid) if keep else None
        spares, self.spares = self.spares, None
        if spares:
            own = spares.pop()
            if keep:
                own[...] = self._newest()
            self._put(own)
        if finished is not None:
            np.copyto(self._newest(), finished)

    def _newest(self) -> Array:
        return self.plain() if self.laid is None else self.laid

    def _put(self, memory: Array) -> None:
        """Replace the memory of the newest numbers by such that lies alike."""
        if self.laid is None:
            self.flat = memory
        else:
            self.laid = memory

    def lose(self, why: str, keep: bool = True) -> Array | None:
        """Give the memory up; `why` is a sentence without a full stop for whoever asks for the numbers. Returns what
        waits here for `regain`, which is nothing without `keep`, and where somebody was given an array of the memory.
        """
        private = self.settled is None and self.spares is None and self._unfinished is None
        self._kept = self.memory if private and keep else None
        self.flat = self.settled = self.laid = self._unfinished = None
        self.lost = why
        return self._kept

    def regain(self, same: bool) -> None:
        """Take memory again, to be overwritten whole: with `same` that which waits here, if there is any."""
        kept, self._kept, self.lost = self._kept, None, ""
        if kept is not None and same:
            self._let_be(kept)

    @property
    def memory(self) -> Array | None:
        """The memory of the newest numbers, as it lies; None where none has been taken."""
        return self.flat if self.laid is None else self.laid

    @property
    def last_memory(self) -> Array | None:
        """As `memory`, or what waits for `regain`."""
        return self._kept if self.lost else self.memory

    def is_in(self, memory: Array | None) -> bool:
        """Whether that memory has the numbers, or waits for `regain`."""
        return memory is self.last_memory

    @property
    def unseen(self) -> bool:
        """Whether there is memory, or some that waits for `regain`, of which nobody was given an array."""
        return self._kept is not None if self.lost else self.settled is None

    def show(self) -> None:
        """Let layers have what waits here, with the numbers that are there, until `hide`; asking for the array raises
        MemoryReusedError all the same.
        """
        if self._kept is not None:
            self._let_be(self._kept)

    def hide(self) -> None:
        """Let it wait again, or what layers have taken in its place."""
        if self.lost:
            self._kept = self._kept if self.memory is None else self.memory
            self.flat = self.laid = None

    def lie_with(self, other: Storage) -> None:
        """Have the other's memory as it lies there, if there is some and none here."""
        if self.memory is None and other.memory is not None:
            self.order = other.order
            self._let_be(other.memory.view())

    def _let_be(self, memory: Array) -> None:
        if memory.ndim > 1:
            self.laid = memory
        elif memory.size == self._count:
            self.flat = memory

    def place(self) -> Place:
        """Where the numbers are."""
        return self.flat, self.laid, self.settled, self.buffer, self._kept

    def standing(self) -> Standing:
        """What the numbers count as, and what is to be done before anybody has them or overwrites them."""
        return self.flat, self.laid, self.settled, self.spares, self._unfinished, self._instead, self.forgotten

    def clear(self) -> None:
        """Make all numbers 0, where they are not 0 for want of ever having been looked at."""
        self.initial = 0.0
        self.lay_plain()
        self.forgotten, self._instead = False, None
        if self.allocated:
            self.plain()[...] = 0

    def forget(self, instead: Array | None = None) -> None:
        """Let all numbers count as 0, or as this flat array's, from now on: `array` makes them so, unless `recall` or
        another `forget` is called before.
        """
        self.forgotten = self.flat is not None or self.allocated
        self._instead, self.settled = instead, None

    def recall(self) -> bool:
        """Whether the numbers are forgotten and count as 0. They no longer are: who calls this is about to overwrite
        them all.
        """
        if not self.forgotten:
            return False
        if self._instead is not None:
            self.array()
            return False
        self.forgotten = False
        if not self.free:
            self.settled = self.plain()
        return True

    def is_slice_of(self, whole: Storage) -> bool:
        return self._parent is whole

    def slice(self, offset: int, count: int) -> Storage:
        """A Storage that is numbers offset .. offset + count of this one, still without allocating."""
        part = type(self)(self.dtype, count)
        part._parent, part._offset = self, offset
        return part

    def _take(self, count: int) -> Array:
        if self.buffer is not None:
            return self.buffer.take(count, self.dtype)
        check_memory(count * self.dtype.itemsize, "An array")
        return aligned(count, self.dtype)

    def _lost_error(self) -> MemoryReusedError:
        return MemoryReusedError(
            self.lost,
            hint="Ask for the blob by forward(blobs=[...]), or build the net without reuse_memory=True. "
            "Its shape is blob.shape.",
        )


Place = tuple[Array | None, Array | None, Array | None, "Buffer | None", Array | None]
"""What a storage's memory is, whether somebody was given an array of it, and whose it is."""


Standing = tuple[Array | None, Array | None, Array | None, object, object, Array | None, bool]
"""Where a storage's memory is, whether somebody was given an array of it, and whether its numbers are others'."""


def all_at(storages: Iterable[Storage], places: Iterable[Place]) -> bool:
    """Whether each of these storages is where it was."""
    for storage, (flat, laid, settled, buffer, kept) in zip(storages, places, strict=True):
        if (
            storage.flat is not flat
            or storage.laid is not laid
            or storage.settled is not settled
            or storage.buffer is not buffer
            or storage._kept is not kept
        ):
            return False
    return True


def all_stand(storages: Iterable[Storage], standings: Iterable[Standing]) -> bool:
    """Whether all is as it was about these storages, but for the numbers."""
    for storage, (flat, laid, settled, spares, unfinished, instead, forgotten) in zip(storages, standings, strict=True):
        if (
            storage.flat is not flat
            or storage.laid is not laid
            or storage.settled is not settled
            or storage.spares is not spares
            or storage._unfinished is not unfinished
            or storage._instead is not instead
            or storage.forgotten is not forgotten
        ):
            return False
    return True
