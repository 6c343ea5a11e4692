"""LRN, local response normalisation (Krizhevsky et al. 2012): each value is damped by its neighbours' squares.

    s = k + α/n Σ x²        y = x s^-β        dx = dy s^-β - 2αβ/n · x Σ (dy y / s)

ACROSS_CHANNELS sums over local_size channels around each, n = local_size. WITHIN_CHANNEL sums over a local_size² square
of the same channel, n = local_size², and k is 1. Beyond the borders there are zeros. local_size is odd, so x_j is in
x_i's window where x_i is in x_j's: the sums of both passes go over the same windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.constraints import odd
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.layers._geometry import Scratch, evenly, work
from pycaffe_lite.layers._tiles import SHORT_CALLS, over_tiles
from pycaffe_lite.order import Order, order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

TILE_BYTES = 1 << 18
_LAID = {1: 3, 2: 1, 3: 2}  # where axes are in memory with the channels innermost


@register_layer("LRN")
class LRN(Layer):
    """Bottom (N, C, H, W); top the same. Raises ParameterError for an even local_size, ShapeError for other axes."""

    bottoms = exactly(1)
    tops = exactly(1)
    passing_scratch = frozenset({"dy", "partial", "root", "s", "square", "x", "y"})
    constraints = {"lrn_param.local_size": odd()}
    _order = Order.PLAIN
    """In which s lies."""

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.lrn_param
        across = p.norm_region == pb.LRNParameter.ACROSS_CHANNELS
        self._axes = (1,) if across else (2, 3)
        self._k = p.k if across else 1.0
        self._size, self._beta = p.local_size, p.beta
        self._alpha = p.alpha / p.local_size ** len(self._axes)

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        if len(bottom_shapes[0]) != 4:
            raise ShapeError(
                f"The bottom has shape {bottom_shapes[0]}", hint="LRN needs (num, channels, height, width)."
            )
        return [bottom_shapes[0]]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done | None:
        x = bottom[0].stored("data")
        return self._do(self._value, x, top[0].open("data", _order_for(x)))

    def _value(self, given: Array, result: Array) -> None:
        self._order = _order_for(given)
        x, y = self._laid(given, "x"), self._laid(result, "y")
        s = self._scratch("s", x.shape, x.dtype)

        def damp(images: slice, scratch: Scratch) -> None:
            here = x[images]
            square = work(scratch, "square", most, here.shape, x.dtype)
            np.multiply(here, here, out=square)
            self._sum_windows(square, s[images], scratch, most)
            s[images] *= self._alpha
            s[images] += self._k
            self._damping(s[images], y[images], square)
            y[images] *= here

        step, most = self._tile(x)
        over_tiles(damp, len(x), step, x.nbytes * SHORT_CALLS, self._scratch)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if not propagate_down[0]:
            return NOTHING
        x, y = self._laid(bottom[0].stored("data"), "x"), self._laid(top[0].stored("data"), "y")
        dy, dx = self._laid(top[0].stored("diff"), "dy"), self._laid(bottom[0].open("diff", self._order), "dx")
        s = self._scratch("s", x.shape, x.dtype)

        def give(images: slice, scratch: Scratch) -> None:
            out = dx[images]
            ratio = work(scratch, "square", most, out.shape, x.dtype)
            np.multiply(dy[images], y[images], out=ratio)
            ratio /= s[images]
            self._sum_windows(ratio, out, scratch, most)
            out *= -2 * self._alpha * self._beta
            out *= x[images]
            self._damping(s[images], ratio, work(scratch, "root", most, out.shape, x.dtype))
            ratio *= dy[images]
            out += ratio

        step, most = self._tile(x)
        over_tiles(give, len(x), step, x.nbytes * SHORT_CALLS, self._scratch)
        return None

    def _laid(self, array: Array, name: str) -> Array:
        """With its axes as s has them in memory; a copy where the batch lies innermost, which s never does."""
        if order_of(array) is Order.BATCH_INNERMOST:
            plain = self._scratch(name, array.shape, array.dtype)
            np.copyto(plain, array)
            array = plain
        return np.moveaxis(array, 1, 3) if self._order is Order.CHANNELS_INNERMOST else array

    def _damping(self, s: Array, out: Array, root: Array) -> None:
        """Set out to s^-β, with working memory of the same shape."""
        if self._beta == 0.75:  # 1 / (√s √√s), off by 2e-7 of itself: where numpy's powers are slow, six times as fast
            np.sqrt(s, out=root)
            np.sqrt(root, out=out)
            out *= root
            np.divide(1, out, out=out)
        else:
            np.power(s, -self._beta, out=out)

    @staticmethod
    def _tile(x: Array) -> tuple[int, int]:
        """How many images are worked on at a time, and how many numbers these are."""
        of_image = math.prod(x.shape[1:])
        step = evenly(len(x), TILE_BYTES // max(1, of_image * x.itemsize))
        return step, step * of_image

    def _sum_windows(self, a: Array, out: Array, scratch: Scratch, most: int) -> None:
        """Set out to the sum of `a` over local_size places around each, along every one of the axes."""
        axes = [_LAID[axis] for axis in self._axes] if self._order is Order.CHANNELS_INNERMOST else self._axes
        for axis in axes:
            np.copyto(out, a)
            ahead, behind = np.moveaxis(out, axis, 0), np.moveaxis(a, axis, 0)
            for shift in range(1, min(self._size // 2, len(behind) - 1) + 1):
                ahead[:-shift] += behind[shift:]
                ahead[shift:] += behind[:-shift]
            if axis != axes[-1]:
                a = work(scratch, "partial", most, a.shape, a.dtype)
                np.copyto(a, out)


def _order_for(x: Array) -> Order:
    """In which it is worked on: that in which it lies, but for the batch innermost."""
    return Order.CHANNELS_INNERMOST if order_of(x) is Order.CHANNELS_INNERMOST else Order.PLAIN
