"""MVN: each channel of each item, or with across_channels each item, is given mean 0 and, unless told otherwise,
variance 1. With n numbers, m their mean and s their standard deviation:

    y = (x - m) / (s + eps)        dx = (dy - Σ dy / n - y Σ dy y / n) / (s + eps)

Without normalize_variance y = x - m, dx = dy - Σ dy / n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.registry import register_layer


@register_layer("MVN")
class MVN(Layer):
    """Bottom (N, C, ...); top the same. As in Caffe the gradient takes eps to be small beside s.

    Differences from Caffe: any number of axes; may run in place.
    """

    bottoms = exactly(1)
    tops = exactly(1)

    def may_run_in_place(self) -> bool:
        return True

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return self._message.mvn_param.normalize_variance

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return [bottom_shapes[0]]

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        shape, lead = bottom[0].shape, 1 if self._message.mvn_param.across_channels else 2
        self._rows = math.prod(shape[:lead]), math.prod(shape[lead:])

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x, y = bottom[0].data.reshape(self._rows), top[0].data.reshape(self._rows)
        np.subtract(x, _mean(x), out=y)
        if self._message.mvn_param.normalize_variance:
            s = self._deviation(y)
            np.sqrt(_mean(y, y), out=s)
            s += self._message.mvn_param.eps
            y /= s

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        dy, dx = top[0].diff.reshape(self._rows), bottom[0].diff.reshape(self._rows)
        mean = _mean(dy)
        if not self._message.mvn_param.normalize_variance:
            np.subtract(dy, mean, out=dx)
            return
        y = top[0].data.reshape(self._rows)
        towards = y * _mean(dy, y)
        np.subtract(dy, mean, out=dx)
        dx -= towards
        dx /= self._deviation(dy)

    def _deviation(self, like: Array) -> Array:
        """s + eps of each row, from the last forward pass."""
        return self._scratch("deviation", (self._rows[0], 1), like.dtype)


def _mean(*factors: Array) -> Array:
    """The mean of a, or of a b, over each row, as a column; 0 of rows without numbers."""
    mean: Array = sum_over((1,), *factors)[:, None] / max(1, factors[0].shape[1])
    return mean
