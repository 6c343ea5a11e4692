"""Where the windows of convolution and pooling lie, and how many there are. No arithmetic on what they see.

Window o sees, at offset k of its kernel, place o · stride + k · dilation - pad of each spatial axis. A convolution has
as many windows as fit into the padded axis; pooling rounds up, so that its last window may hang over the edge.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array, Shape, ShapeLike

Scratch = Callable[[str, Shape, npt.DTypeLike], Array]
"""(name, shape, dtype) -> working memory of any content, the same array as last time while all three are the same."""


@dataclass(frozen=True)
class Geometry:
    """The windows of a convolution: each tuple has one number per spatial axis."""

    kernel: Shape
    stride: Shape
    pad: Shape
    dilation: Shape
    group: int = 1
    after: Shape | None = None
    """The padding at each axis's end, where it is not the same as that before it, `pad`."""

    @property
    def far(self) -> Shape:
        """The padding at each axis's end."""
        return self.pad if self.after is None else self.after

    @property
    def is_padded(self) -> bool:
        return any(self.pad) or any(self.far)

    @property
    def extent(self) -> Shape:
        """How many places lie between a window's first and last, both counted."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def pointwise(self) -> bool:
        """Whether every window is one place of its own: a 1x1 convolution."""
        return all(k == 1 for k in self.kernel) and all(s == 1 for s in self.stride) and not self.is_padded

    def output_shape(self, spatial: ShapeLike) -> Shape:
        """The number of windows: ⌊(in + padding - extent) / stride⌋ + 1 along each axis; below 1 where none fits."""
        padded = self.padded(spatial)
        return tuple((n - e) // s + 1 for n, e, s in zip(padded, self.extent, self.stride, strict=True))

    def input_shape(self, output: ShapeLike) -> Shape:
        """The smallest input with so many windows, which is what a deconvolution makes of `output`."""
        reach = ((n - 1) * s + e for n, s, e in zip(output, self.stride, self.extent, strict=True))
        return tuple(n - p - q for n, p, q in zip(reach, self.pad, self.far, strict=True))

    def padded(self, spatial: ShapeLike) -> Shape:
        """The shape with the padding around it."""
        return tuple(n + p + q for n, p, q in zip(spatial, self.pad, self.far, strict=True))

    def truncating(self, spatial: ShapeLike) -> Geometry:
        """These windows, counted as Caffe does, whose division rounds towards 0: one that is larger than the padded
        input, but by less than the stride, is there and sees zeros behind.
        """
        lacking = [e - n for e, n in zip(self.extent, self.padded(spatial), strict=True)]
        more = tuple(max(0, k) if k < s else 0 for k, s in zip(lacking, self.stride, strict=True))
        if not any(more):
            return self
        return replace(self, after=tuple(p + k for p, k in zip(self.far, more, strict=True)))

    def padded_same(self, spatial: ShapeLike) -> Geometry:
        """These windows with the padding of same_padding for such an input."""
        pad, after = same_padding(spatial, self.extent, self.stride)
        return replace(self, pad=pad, after=after)

    def view(self, padded: Array, axis: int, count: Shape) -> Array:
        """What each of `count` windows sees: the axes of a padded array from `axis` on become (*kernel, *count).

        view[..., *k, *o] = padded[..., *(o · stride + k · dilation)]. `count` may name the last few spatial axes only,
        which then are those at `axis`. It is a view: windows that overlap share memory.
        """
        behind, first = axis + len(count), len(self.kernel) - len(count)
        steps = padded.strides[axis:behind]
        within = (step * d for step, d in zip(steps, self.dilation[first:], strict=True))
        between = (step * s for step, s in zip(steps, self.stride[first:], strict=True))
        return np.lib.stride_tricks.as_strided(
            padded,
            (*padded.shape[:axis], *self.kernel[first:], *count, *padded.shape[behind:]),
            (*padded.strides[:axis], *within, *between, *padded.strides[behind:]),
        )


@dataclass(frozen=True)
class PoolGeometry:
    """The windows of pooling, which Caffe counts in a way of its own; each tuple is (height, width)."""

    kernel: Shape
    stride: Shape
    pad: Shape
    ceil: bool = True
    after: Shape | None = None
    """The padding at each axis's end under TensorFlow's rules: windows are counted as a convolution's, and padding
    counts nothing in a mean."""

    def output_shape(self, spatial: ShapeLike) -> Shape:
        """The number of windows: (in + 2 pad - kernel) / stride + 1 along each axis, rounded up; down without `ceil`.

        With padding on any axis, a last window that would start behind the data and the padding before them is dropped.
        Without, where stride > kernel, the last window may lie outside altogether.
        """
        counts = []
        if self.after is not None:
            return Geometry(self.kernel, self.stride, self.pad, (1, 1), after=self.after).output_shape(spatial)
        for n, k, s, p in zip(spatial, self.kernel, self.stride, self.pad, strict=True):
            room = n + 2 * p - k
            last = -(-room // s) if self.ceil else room // s
            counts.append(last if any(self.pad) and last * s >= n + p else last + 1)
        return tuple(counts)


def same_padding(spatial: ShapeLike, extent: Shape, stride: Shape) -> tuple[Shape, Shape]:
    """TensorFlow's padding SAME, before and behind: the least with which ⌈in / stride⌉ windows fit, the odd place
    behind.
    """
    by_axis = zip(spatial, extent, stride, strict=True)
    total = [max(0, (-(-n // s) - 1) * s + e - n) for n, e, s in by_axis]
    return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)


def hits(offset: int, stride: int, pad: int, size: int, count: int) -> tuple[slice, slice]:
    """Along an axis of `size`: which of `count` windows see data at this offset, not padding; and which data."""
    first = max(0, -((offset - pad) // stride))
    stop = min(count, (size - 1 + pad - offset) // stride + 1)
    if stop <= first:
        return slice(0, 0), slice(0, 0)
    place = first * stride + offset - pad
    return slice(first, stop), slice(place, place + (stop - first - 1) * stride + 1, stride)


def batch_last(array: Array) -> Array:
    """(N, C, *spatial) as a view (C, *spatial, N). np.moveaxis takes twenty times longer."""
    return array.transpose(*range(1, array.ndim), 0)


def work(scratch: Scratch, name: str, most: int, shape: Shape, dtype: npt.DTypeLike) -> Array:
    """An array of this shape at the head of a scratch array of `most` numbers, which tiles of all sizes share."""
    return scratch(name, (most,), dtype)[: math.prod(shape)].reshape(shape)


def evenly(count: int, most: int) -> int:
    """The size of the fewest equal parts of `count` (the last may be less), each of at most `most` and at least 1."""
    parts = -(-count // max(1, most))
    return max(1, -(-count // max(1, parts)))


@contextlib.contextmanager
def short_buffer() -> Iterator[None]:
    """Where numpy computes with runs of some hundred numbers: they are used as they lie. As long as they are shorter
    than numpy's buffer it copies them into that and back, which takes longer than the sums themselves.
    """
    before = np.setbufsize(256)
    try:
        yield
    finally:
        np.setbufsize(before)
