"""From arrays to layouts, and from one layout to another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob, Side
from pycaffe_lite.engines.onednn._primitive import Description, Layout, reorder, strided_layout
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.storage import Order

FLOAT = np.dtype(np.float32)


def takes(blobs: list[Blob]) -> bool:
    """Whether oneDNN takes such blobs: float32, and not empty."""
    return all(b.dtype == FLOAT and b.count for b in blobs)


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
    name = description.implementation.removeprefix("x64:")
    return not name.startswith(("ref", "simple", "gemm"))
