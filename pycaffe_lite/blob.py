"""Blob: the arrays that layers hand to each other, values (data) beside gradients (diff)."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from pycaffe_lite import _display
from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import AssignmentError, CaffeError, ShapeError
from pycaffe_lite.order import Order, order_of
from pycaffe_lite.storage import Storage
from pycaffe_lite.watched import WatchedStorage

if TYPE_CHECKING:
    from pycaffe_lite.buffer import Buffer

MAX_AXES = 32
MIN_ITEMS = 16  # side by side, that make it worth while to keep the batch innermost

Side = Literal["data", "diff"]
_NOTHING = np.empty(0)
_PYCAFFE = frozenset("channels count data diff height num reshape shape width".split())
"""What users complete names to."""
_next_change = itertools.count(1).__next__


class Blob:
    """A shape, and two Storages of that many numbers: data and diff.

    `data` and `diff` are plain C-ordered numpy arrays of shape `shape`, another object each time; writing into them
    counts. They stay valid until the blob is reshaped to more numbers than it ever had: ask the blob each time instead
    of keeping one.

    Between layers that can do with it (Layer.takes_any_order) the numbers may lie in another Order, the batch or the
    channels innermost, where a layer is faster so. `stored` shows them as they lie, `in_order` in plain order, `open`
    gives the memory to write them: layers look so, and from pass to pass the order is the same. Anybody else asks for
    `data` or `diff` and gets plain order, in an array that stays live: the blob never takes another order again.
    Learnable blobs live in a WatchedStorage: `written` says whether what a layer made of them still holds.

    Differences from Caffe: more than 2**31 numbers are fine; `reshape` takes a sequence as well as separate numbers.
    """

    __slots__ = (
        "__weakref__",
        "_count",
        "_data",
        "_data_of",
        "_data_view",
        "_diff",
        "_diff_of",
        "_diff_view",
        "_shape",
        "name",
    )

    changes: ClassVar[int] = 0
    """Another number whenever any blob has taken another shape, other storages or another's place among a layer's, or
    there are other numbers of threads: nets ask before every layer.
    """

    def __init__(self, shape: Shape = (), dtype: npt.DTypeLike = np.float32, name: str = "") -> None:
        self.name = name
        self._data = Storage(dtype)
        self._diff = Storage(dtype)
        self._data_of: Array | None = None  # the storage's memory that _data_view is a view of
        self._diff_of: Array | None = None
        self._data_view: Array
        self._diff_view: Array
        self._shape: Shape = ()
        self._count = -1
        self.reshape(*shape)

    @property
    def data(self) -> Array:
        """The values, shape `shape`."""
        return self._data_array().view()

    @data.setter
    def data(self, array: Array) -> None:
        self._refuse("data", array)

    @property
    def diff(self) -> Array:
        """The gradients of the loss with respect to `data`, shape `shape`; zeros until a backward pass writes them."""
        return self._diff_array().view()

    @diff.setter
    def diff(self, array: Array) -> None:
        self._refuse("diff", array)

    def _data_array(self) -> Array:
        """The one array that every `data` is a view of, for layers."""
        whole = self._data.settled
        if whole is None:
            if isinstance(self._data, WatchedStorage):
                return self._data.lend(self._shape)
            whole = self._data.array()
        if whole is not self._data_of:
            self._data_view, self._data_of = whole[: self._count].reshape(self._shape), whole
        return self._data_view

    def _diff_array(self) -> Array:
        """As `_data_array`, of `diff`."""
        whole = self._diff.settled
        if whole is None:
            self.settle("diff")
            whole = self._diff.array()
        if whole is not self._diff_of:
            self._diff_view, self._diff_of = whole[: self._count].reshape(self._shape), whole
        return self._diff_view

    def _refuse(self, what: Side, array: Array) -> None:
        """Raise AssignmentError, unless it is the blob's own array that comes back: so `blob.data += 1` ends."""
        if getattr(array, "__array_interface__", None) != self.get(what).__array_interface__:
            raise AssignmentError(
                f"A blob's {what} cannot be replaced", hint=f"Write into it: blob.{what}[...] = array."
            )

    def get(self, what: Side) -> Array:
        """`data` or `diff`."""
        return self.data if what == "data" else self.diff

    def stored(self, what: Side) -> Array:
        """`data` or `diff` as they lie in memory: of shape `shape`, with any strides. For layers, in their pass;
        who writes into learnable blobs' tells them (`note_writing`).
        """
        is_data = what == "data"
        storage = self._data if is_data else self._diff
        memory = storage.flat if storage.laid is None else storage.laid
        if memory is (self._data_of if is_data else self._diff_of) is not None and not storage.forgotten:
            return self._data_view if is_data else self._diff_view  # as last time
        if storage.laid is None and not (storage.free or isinstance(storage, WatchedStorage)):
            return self._data_array() if is_data else self._diff_array()
        view, memory = self._lying(storage)
        if is_data:
            self._data_view, self._data_of = view, memory
        else:
            self._diff_view, self._diff_of = view, memory
        return view

    def _lying(self, storage: Storage) -> tuple[Array, Array]:
        """A view of this blob's shape of what is newest in a free storage, and the memory that it is a view of.
        (np.moveaxis takes ten times as long as transpose.)
        """
        laid, shape = storage.laid, self._shape
        if laid is not None and laid.size == self._count:
            if storage.order is Order.BATCH_INNERMOST and shape and laid.shape[1] == shape[0]:
                return laid.reshape(*shape[1:], -1).transpose(-1, *range(len(shape) - 1)), laid
            if storage.order is Order.CHANNELS_INNERMOST and (laid.shape[0], laid.shape[2]) == shape[:2]:
                innermost = laid.reshape(shape[0], *shape[2:], shape[1])
                return innermost.transpose(0, -1, *range(1, len(shape) - 1)), laid
        storage.put_in_order()
        whole = storage.plain()
        return whole[: self._count].reshape(shape), whole

    def in_order(self, what: Side) -> Array:
        """As `stored`, in plain order, for layers that can do with no other: nobody has looked at the blob for that."""
        storage = self._data if what == "data" else self._diff
        if storage.laid is not None:
            storage.put_in_order()
        return self.stored(what)

    def open(self, what: Side, order: Order) -> Array:
        """As `stored`, to be overwritten whole: in this order where that is possible, else in plain order. The numbers
        are still there if that was the order before and nobody shares them (`take_diff_of`). In-place layers open what
        they have read, and go on reading the array that `stored` gave them.
        """
        is_data = what == "data"
        storage = self._data if is_data else self._diff
        if not storage.free:
            return self._data_array() if is_data else self._diff_array()
        laid = storage.laid
        memory, lies = (storage.flat, Order.PLAIN) if laid is None else (laid, storage.order)
        if (
            lies is order
            and memory is (self._data_of if is_data else self._diff_of) is not None
            and storage.spares is None
        ):
            storage.writes += 1
            return self._data_view if is_data else self._diff_view  # as last time
        if order is Order.PLAIN or not self._count or (order is Order.CHANNELS_INNERMOST and len(self._shape) < 3):
            storage.lay_plain()
        else:
            storage.lay(order, self._shape)
        return self.stored(what)

    def note_writing(self) -> None:
        """Say that the array that `stored` gave for `data` has been written into."""
        if isinstance(self._data, WatchedStorage):
            self._data.note_writing()

    def written(self, what: Side) -> int | None:
        """A number that is the same as last time if nobody can have changed `data` or `diff` since; None: who knows."""
        storage = self._data if what == "data" else self._diff
        if isinstance(storage, WatchedStorage):
            return storage.version()
        return storage.writes if storage.free else None

    @property
    def order_is_free(self) -> bool:
        """Whether `open` may choose in which order `data` lie."""
        return self._data.free

    def leave_order_free(self) -> None:
        """Allow layers to choose the order in which data and diff lie, until somebody looks at them."""
        self._data.leave_free()
        self._diff.leave_free()

    @property
    def has_diff(self) -> bool:
        """Whether `diff` can be other than zero: somebody looked at it, or it holds a loss weight."""
        return self._diff.allocated or self._diff.initial != 0

    @property
    def shape(self) -> Shape:
        """The axes' lengths, of data and diff alike."""
        return self._shape

    @property
    def count(self) -> int:
        """How many numbers `data` has."""
        return self._count

    @property
    def nbytes(self) -> int:
        """How many bytes `data` has."""
        return self._count * self._data.dtype.itemsize

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The numbers' type, float32 or float64."""
        return self._data.dtype

    def reshape(self, *dims: int | Iterable[int]) -> None:
        """Take a new shape, given as separate numbers or as one sequence. Memory is only taken anew, and the numbers
        lost, when there are more than ever before.

        Raises ShapeError for dimensions that are negative or no whole numbers, and for more than 32 axes.
        """
        given = dims[0] if len(dims) == 1 and hasattr(dims[0], "__iter__") else dims
        try:
            shape: Shape = tuple(map(operator.index, given))
        except TypeError:
            raise ShapeError(f"A blob cannot have the shape {given}", hint="Dimensions are whole numbers.") from None
        if shape == self._shape and self._count >= 0:
            return
        if len(shape) > MAX_AXES:
            raise ShapeError(f"A blob has at most {MAX_AXES} axes, not {len(shape)}")
        if any(d < 0 for d in shape):
            raise ShapeError(f"A blob cannot have the shape {shape}", hint="Every dimension must be 0 or more.")
        self._shape = shape
        self._count = math.prod(shape)
        self._data.require(self._count)
        self._diff.require(self._count)
        self._data_of = self._diff_of = None
        Blob.note_change()

    def share_data(self, other: Blob) -> None:
        """Let `data` be the other blob's numbers (Caffe's ShareData); both must have the same count."""
        self._check_count(other)
        if self._data is not other._data:
            self._data, self._data_of = other._data, None
            Blob.note_change()

    def share_diff(self, other: Blob) -> None:
        """Let `diff` be the other blob's numbers (Caffe's ShareDiff); both must have the same count.

        A loss's weight is copied instead: it must outlast the pass, and in-place layers overwrite the diff they share.
        """
        self._check_count(other)
        if other._diff.initial:
            self.diff[...] = other.diff.reshape(self._shape)
        elif self._diff is not other._diff:
            self._diff, self._diff_of = other._diff, None
            Blob.note_change()

    def take_diff_of(self, other: Blob) -> None:
        """Let `diff` be the same numbers as the other blob's, which has this shape, in the order in which they lie.
        Where nobody has looked at either, nothing is copied until one is written. For layers, in their pass.
        """
        if self._diff is other._diff:
            return
        dy = other.stored("diff")
        dx = self.open("diff", order_of(dy))
        if not self._diff.take_numbers(other._diff):
            np.copyto(dx, dy)

    def take(self, other: Blob, what: Side) -> None:
        """Take the other blob's shape, and let `data` or `diff` be a copy of its, which lies as that if it may."""
        self.reshape(*other._shape)
        given = other.stored(what)
        self.open(what, order_of(given))[...] = given

    def show_diff_of(self, other: Blob) -> None:
        """Let `diff` show the other blob's, which has this shape: a copy, made when somebody first asks for it, unless
        `show_own_diff` comes before.
        """
        if self._diff.settled is None:
            self._diff.elsewhere = other
        else:
            self.take(other, "diff")

    def show_own_diff(self) -> None:
        """End that: a backward pass is about to write it."""
        self._diff.elsewhere = None

    def settle(self, what: Side) -> None:
        """Make the copy that `show_diff_of` may have left for later."""
        if what == "diff" and (elsewhere := self._diff.elsewhere) is not None:
            self._diff.elsewhere = None
            self.take(elsewhere, "diff")

    def shown(self, what: Side) -> Array:
        """What `data` or `diff` would show, as it lies, for those who only look."""
        if what == "diff" and self._diff.elsewhere is not None:
            return self._diff.elsewhere.stored(what)
        return self.stored(what)

    def leave_unfinished(self, finish: Callable[[Array], Array]) -> bool:
        """Whether `diff`, as it lies, now lacks a step, which is done when somebody asks for it: finish(memory) returns
        new memory that lies so. For layers, in their pass.
        """
        return self._diff.leave_unfinished(finish)

    def diff_to_overwrite(self) -> Array | None:
        """`diff`, where its numbers are forgotten (Storage.forget); None where they are there."""
        return self._diff_array() if self._diff.recall() else None

    def set_loss_weight(self, weight: float) -> None:
        """Let `diff` be this weight everywhere until somebody writes it: Caffe keeps a loss's weight there."""
        self._diff.initial = weight
        if self._diff.allocated:
            self._diff.array()[...] = weight

    def lives_in(self, whole: Storage) -> bool:
        """Whether `data` is a slice of this storage."""
        return self._data.is_slice_of(whole)

    def keep_data_in(self, buffer: Buffer | None) -> None:
        """Let `data` use this buffer's memory from the next time on that they take any, or memory of their own."""
        self._data.buffer = buffer

    def keeps_data_in(self, buffer: Buffer) -> bool:
        """Whether that was said of its storage."""
        return self._data.buffer is buffer

    def lies_with(self, other: Blob) -> bool:
        """Whether `data` are in the memory of the other's."""
        mine, others = self._data.memory, other._data.memory
        return mine is not None and others is not None and np.may_share_memory(mine, others)

    @property
    def lost(self) -> bool:
        """Whether `data` are not there: another blob lives in their memory, or a layer did without them."""
        return self._data.lost != ""

    def move_to(self, data: Storage, diff: Storage) -> None:
        """Live in these storages from now on, taking along the numbers that there are."""
        for old, new in ((self._data, data), (self._diff, diff)):
            if old.allocated:
                new.array()[: self._count] = old.array()[: self._count]
        self._data, self._diff = data, diff
        self._data_of = self._diff_of = None
        Blob.note_change()
        self._data_view = self._diff_view = _NOTHING  # the old memory goes

    @staticmethod
    def note_change() -> None:
        """Make `changes` another number."""
        Blob.changes = _next_change()

    def _check_count(self, other: Blob) -> None:
        if self._count != other._count:
            raise ShapeError(
                f"Blobs of shapes {self._shape} and {other._shape} cannot share memory",
                hint="They must have the same number of elements.",
            )

    @property
    def num(self) -> int:
        """Axis 0 of a blob of at most 4 axes, missing ones counting as 1 (Caffe's legacy name)."""
        return self._legacy(0)

    @property
    def channels(self) -> int:
        """Axis 1, as `num`."""
        return self._legacy(1)

    @property
    def height(self) -> int:
        """Axis 2, as `num`."""
        return self._legacy(2)

    @property
    def width(self) -> int:
        """Axis 3, as `num`."""
        return self._legacy(3)

    def _legacy(self, axis: int) -> int:
        if len(self._shape) > 4:
            raise ShapeError(
                f"num, channels, height and width need at most 4 axes; this blob has shape {self._shape}",
                hint="Use shape.",
            )
        return self._shape[axis] if axis < len(self._shape) else 1

    @property
    def _gpu_data_ptr(self) -> int:
        """pycaffe's address of `data` on a GPU: raises CaffeError, there is none."""
        raise CaffeError("There is no GPU memory: blobs live in the host's", hint="Use blob.data.")

    @property
    def _gpu_diff_ptr(self) -> int:
        """As `_gpu_data_ptr`, for `diff`."""
        raise CaffeError("There is no GPU memory: blobs live in the host's", hint="Use blob.diff.")

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name.startswith("_") or name in _PYCAFFE]

    def __reduce__(self) -> tuple[Callable[..., Blob], tuple[Any, ...]]:
        """Copied or pickled, it is a blob of its own, with the same numbers."""
        diff = np.array(self.diff) if self.has_diff else None
        return _again, (self.name, np.array(self.data), diff)

    def __repr__(self) -> str:
        return _display.blob_line(self)

    def _repr_html_(self) -> str:
        return _display.blob_html(self)


def _again(name: str, data: Array, diff: Array | None) -> Blob:
    blob = Blob(data.shape, data.dtype, name)
    blob.data[...] = data
    if diff is not None:
        blob.diff[...] = diff
    return blob


def lose_data(blobs: Sequence[Blob], why: str, keep: bool = True) -> tuple[Array | None, int]:
    """Give the memory of `data`, the same for all of these blobs, back to its buffer: until `regain_data`, asking for
    `data` raises MemoryReusedError, with `why`. Returns the memory and how many arrays of it wait for that, where
    nobody else was ever given one, and arrays are to be kept.
    """
    first = blobs[0]._data
    memory = None if first.buffer is None else first.lose(why, keep)
    for blob in blobs:
        if memory is None or blob._data_of is not memory or blob._data is not first:
            break
    else:
        return memory, 1 + len(blobs)
    for blob in blobs:
        storage = blob._data
        if storage.buffer is not None:  # else it is the user's
            storage.lose(why, keep=False)
            blob._data_of, blob._data_view = None, _NOTHING
    return None, 0


def regain_data(blobs: Sequence[Blob], same: bool) -> None:
    """Let `data` be memory again, to be overwritten whole: with `same` that which waits, or other."""
    blobs[0]._data.regain(same)


def storages_of(blobs: Iterable[Blob], what: Side = "data") -> list[Storage]:
    """Those of their data, or diffs, each once."""
    storages = (blob._data if what == "data" else blob._diff for blob in blobs)
    return list({id(storage): storage for storage in storages}.values())


_shape_of = operator.attrgetter("_shape")


def shapes_of(blobs: Iterable[Blob]) -> list[Shape]:
    """Their shapes."""
    return list(map(_shape_of, blobs))
