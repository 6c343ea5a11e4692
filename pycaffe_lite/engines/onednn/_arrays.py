"""From arrays to layouts, and from one layout to another."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob, Side
from pycaffe_lite.done import Call, Done, all_there, one_after_another
from pycaffe_lite.engines.onednn._primitive import (
    DIFF_DST,
    DIFF_SRC,
    DST,
    SRC,
    Description,
    Layout,
    Lies,
    Primitive,
    plain_layout,
    reorder,
    strided_layout,
)
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.order import Order

FLOAT = np.dtype(np.float32)
MIN_COUNT = 1 << 15
"""Numbers from which on an element-wise primitive is faster than numpy, measured with one thread and two: to call one
takes longer than to call numpy.
"""


def takes(blobs: list[Blob]) -> bool:
    """Whether oneDNN takes such blobs: float32, and not empty."""
    return all(b.dtype == FLOAT and b.count for b in blobs)


def alike(*arrays: Array) -> bool:
    """Whether they hold float32 numbers, and lie alike: what is alike of blobs may be taken for flat arrays."""
    first = arrays[0]
    if not first.size or first.dtype != FLOAT:
        return False
    return all(array.strides == first.strides for array in arrays)


def many_alike(*arrays: Array) -> bool:
    """As `alike`, of many numbers."""
    return arrays[0].size >= MIN_COUNT and alike(*arrays)


def layout(array: Array) -> Layout:
    """How a float32 array lies."""
    return _layout(array.shape, array.strides)


@functools.cache
def _layout(shape: Shape, strides: Shape) -> Layout:
    """`strides` count bytes."""
    return strided_layout(shape, tuple(s // 4 for s in strides))


@functools.cache
def channels_innermost(shape: Shape) -> Layout:
    """The layout of Order.CHANNELS_INNERMOST."""
    strides = [shape[1]] * len(shape)
    for i in range(len(shape) - 2, 1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    strides[0], strides[1] = strides[2] * shape[2], 1
    return strided_layout(shape, tuple(strides))


def overhang(extent: Shape, stride: Shape, pad: Shape, x: Shape, y: Shape) -> list[int]:
    """How far behind images x the last window ends, along each spatial axis, where the windows make y."""
    by_axis = zip(y[2:], stride, extent, x[2:], pad, strict=True)
    return [(o - 1) * s + e - n - p for o, s, e, n, p in by_axis]


def read(array: Array, wanted: Layout, scratch: Scratch, name: str) -> Array:
    """The array, or a copy of it that lies as wanted."""
    lies = layout(array)
    if lies is wanted:
        return array
    copy = scratch(name, (wanted.nbytes // 4,), FLOAT)
    reorder(lies, wanted)(array, copy)
    return copy


class Runs(Protocol):
    """What computes a pass."""

    @property
    def arguments(self) -> Mapping[int, Lies]:
        """How each argument lies, by its number, in their order."""

    def adapted(self, scratch: Scratch, *arrays: Array) -> Done:
        """Compute it, with copies of bottoms and tops that lie otherwise. Returns what was done."""


class Adaptive(Primitive):
    """A primitive that can be run with blobs' arrays, which may lie otherwise than it takes or gives them."""

    def __init__(self, description: Description, arguments: dict[int, Layout]) -> None:
        super().__init__(description, arguments)
        self._given = self._seen
        self._copies: list[tuple[int, int, Layout, Layout]] = []

    def adapted(self, scratch: Scratch, *arrays: Array) -> Adaptive:
        """Run it, with copies of bottoms and tops that lie otherwise; all others are just memory, as in calls. Returns
        itself, as what was done.
        """
        for given, array in zip(self._given, arrays):  # noqa: B905  lengths are equal, and asking takes time
            if given() is not array:
                self._look_at(arrays)
                break
        if self._copies:
            self._run_with_copies(scratch, list(arrays))
        else:
            self._run()
        return self

    def _look_at(self, arrays: Sequence[Array]) -> None:
        self._copies = []
        for i, (number, wanted) in enumerate(self.arguments.items()):
            if number not in NAMES:
                continue
            lies = layout(arrays[i])
            if lies is not wanted and not (lies.is_plain and wanted.is_plain):
                same_axes = wanted.shape == arrays[i].shape
                self._copies.append((i, number, lies, wanted if same_axes else plain_layout(arrays[i].shape)))
        if self._copies:
            self._given = [weakref.ref(array) for array in arrays]
        else:
            self._point_to(arrays)
            self._given = self._seen

    def _run_with_copies(self, scratch: Scratch, arrays: list[Array]) -> None:
        written = []
        for i, number, lies, wanted in self._copies:
            given, arrays[i] = arrays[i], scratch(NAMES[number], (wanted.nbytes // 4,), FLOAT)
            if number in WRITTEN:
                written.append((reorder(wanted, lies), arrays[i], given))
            else:
                reorder(lies, wanted)(given, arrays[i])
        self(*arrays)
        for give, memory, array in written:
            give(memory, array)

    def again(self) -> Call | None:
        run, given, taken = super().again(), all_there(self._given), all_there(self._seen)
        if run is None or given is None or taken is None:
            return None
        if not self._copies:
            return run
        calls: list[Call] = [run]
        for i, number, lies, wanted in self._copies:
            if number in WRITTEN:
                calls.append(functools.partial(put, wanted, lies, taken[i], given[i]))
            else:
                calls.insert(0, functools.partial(put, lies, wanted, given[i], taken[i]))
        return one_after_another(calls)


def put(source: Layout, target: Lies, array: Array, copy: Array) -> None:
    """Write the numbers of an array that lies as `source` to one that lies as `target`."""
    target.take(source, array, copy)


NAMES = {SRC: "x", DST: "y", DIFF_SRC: "dx", DIFF_DST: "dy"}
"""What the memory for copies is called."""
WRITTEN = (DST, DIFF_SRC)
"""Which of them a primitive writes."""


class Target:
    """Where a primitive writes what belongs into `array`: there, or if it lies otherwise into memory beside it."""

    def __init__(self, array: Array, wanted: Layout, scratch: Scratch, name: str) -> None:
        self._to, self._wanted, self._lies = array, wanted, layout(array)
        self.memory = array if self._lies is wanted else scratch(name, (wanted.nbytes // 4,), FLOAT)

    def done(self) -> None:
        if self._lies is not self._wanted:
            reorder(self._wanted, self._lies)(self.memory, self._to)


def open_target(blob: Blob, what: Side, order: Order, wanted: Layout, scratch: Scratch) -> Target:
    """The Target for a blob, in this order if it is free to lie so."""
    return Target(blob.open(what, order), wanted, scratch, f"to {what}")


def first_fast(makers: Iterator[Callable[[], Description | None]]) -> Description | None:
    """The first description whose implementation is a fast one; None where all are for reference or by plain GEMM."""
    for make in makers:
        description = make()
        if description is not None and is_fast(description):
            return description
    return None


def is_fast(description: Description) -> bool:
    return not (is_reference(description) or description.implementation.removeprefix("x64:").startswith("gemm"))


def is_reference(description: Description) -> bool:
    """Whether it is done in the library's plainest way: slow, and its Sigmoid behind another makes 0 of NaN."""
    return description.implementation.removeprefix("x64:").startswith(("ref", "simple"))
