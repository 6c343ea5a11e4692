"""BatchNorm (Ioffe and Szegedy 2015), statistics only: each channel is given mean 0 and variance 1; a Scale layer
behind it learns others.

With m numbers of a channel in the batch, μ their mean and v their variance:

    y = (x - μ) / √(v + eps)        dx = (dy - Σ dy / m - y Σ dy y / m) / √(v + eps)

and the blobs, decaying sums with a = moving_average_fraction, learn from forward passes:

    mean ← a mean + μ        var ← a var + v m / (m - 1)        factor ← a factor + 1

With use_global_stats, the rule in TEST, μ = mean / factor and v = var / factor instead, the blobs stay as they are, and
dx = dy / √(v + eps).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.order import order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.threads import each


@register_layer("BatchNorm")
class BatchNorm(Layer):
    """Bottom (N, C, ...), or (N) as one channel; top the same. Blobs: mean (C), var (C), factor (1). Forward passes
    move them, never a solver.

    Raises ShapeError when a reshaped bottom has another C.
    """

    bottoms = exactly(1)
    tops = exactly(1)
    frozen_params = True

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def _global(self) -> bool:
        p = self._message.batch_norm_param
        return p.use_global_stats if p.HasField("use_global_stats") else self.phase == pb.TEST

    def may_run_in_place(self) -> bool:
        return True

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return not self._global()

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        if not bottom_shapes[0]:
            raise ShapeError("The bottom has shape ()", hint="BatchNorm needs (num, channels, ...).")
        return [bottom_shapes[0]]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.infer_shapes([bottom[0].shape])
        channels = _channels(bottom[0].shape)
        for count in (channels, channels, 1):
            self._add_param((count,))

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        shape, channels = bottom[0].shape, self.blobs[0].count
        if _channels(shape) != channels:
            raise ShapeError(
                f"bottom shape {shape} has {_channels(shape)} channels, the statistics are of {channels}",
                hint="The number of channels cannot change once the net is built.",
            )
        # Whichever way the numbers lie, places that follow each other are equally far apart: this shape makes a view.
        self._view = shape[0], channels, math.prod(shape[2:])

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        if not bottom[0].count:  # after a Filter that let nothing through: nothing to learn from
            return
        source = bottom[0].stored("data")
        y = top[0].open("data", order_of(source)).reshape(self._view)
        x = source.reshape(self._view)
        if self._global():
            mean, variance = self._statistics()
            each(np.subtract, x, _wide(mean), y)
        else:
            now = _mean(x)
            each(np.subtract, x, _wide(now), y)
            variance = _mean(y, y)
            self._remember(now, variance)
        deviation = self._deviation(y)
        np.sqrt(variance + self._message.batch_norm_param.eps, out=deviation)
        each(np.divide, y, _wide(deviation), y)

    def is_affine(self) -> bool:
        """Whether forward is y = x f + a with a number each for every channel."""
        return self._global()

    def affine(self) -> tuple[Array, Array]:
        """f and a."""
        mean, variance = self._statistics()
        f = 1 / np.sqrt(variance + self._message.batch_norm_param.eps)
        return f, -mean * f

    def _statistics(self) -> tuple[Array, Array]:
        """The blobs' mean and variance."""
        mean, var, factor = (blob.stored("data") for blob in self.blobs)
        scale = 1 / factor[0] if factor[0] else 0
        return mean * scale, var * scale

    def _remember(self, mean: Array, variance: Array) -> None:
        m = self._view[0] * self._view[2]
        unbiased = variance * (m / (m - 1)) if m > 1 else variance
        for blob, now in zip(self.blobs, (mean, unbiased, 1), strict=True):
            blob.data[...] *= self._message.batch_norm_param.moving_average_fraction
            blob.data[...] += now

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if not (propagate_down[0] and bottom[0].count):
            return
        given = top[0].stored("diff")
        dx = bottom[0].open("diff", order_of(given)).reshape(self._view)
        dy = given.reshape(self._view)
        if self._global():
            each(np.divide, dy, _wide(self._divisor(dy)), dx)
            return
        y = top[0].stored("data").reshape(self._view)
        mean, product = _mean(dy), _mean(dy, y)
        each(_centre, dy, y, *map(_wide, (mean, product, self._deviation(dy))), dx)

    def _divisor(self, like: Array) -> Array:
        """What backward divides by where the statistics are the blobs': those that forward took, as in Caffe. In phase
        TEST forward may have been part of another layer's pass, and they are those of now.
        """
        if self.phase == pb.TRAIN:
            return self._deviation(like)
        divisor: Array = np.sqrt(self._statistics()[1] + self._message.batch_norm_param.eps)
        return divisor

    def _deviation(self, like: Array) -> Array:
        """√(v + eps) of each channel, from the last forward pass."""
        return self._scratch("deviation", (self._view[1],), like.dtype)


def _channels(shape: Shape) -> int:
    return shape[1] if len(shape) > 1 else 1


def _wide(numbers: Array) -> Array:
    """A number for each channel, to be met by (N, C, places)."""
    return numbers[None, :, None]


def _centre(dy: Array, y: Array, mean: Array, product: Array, deviation: Array, dx: Array) -> None:
    towards = y * product
    np.subtract(dy, mean, out=dx)
    dx -= towards
    dx /= deviation


def _mean(*factors: Array) -> Array:
    """The mean of a, or of a b, for each channel of (N, C, places) arrays."""
    num, _, places = factors[0].shape
    mean: Array = sum_over((0, 2), *factors) / (num * places)
    return mean
