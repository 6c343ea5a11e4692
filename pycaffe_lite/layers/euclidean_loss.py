"""EuclideanLoss: loss = Σ (a - b)² / 2N, N the batch size; da = (a - b) · weight / N = -db."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Done
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._loss import LossLayer
from pycaffe_lite.registry import register_layer


@register_layer("EuclideanLoss")
class EuclideanLoss(LossLayer):
    """Half the mean squared distance of two bottoms of as many numbers per item. Both get gradients. Top: ().

    Raises ShapeError for bottoms of another number of items, or of numbers in each.
    """

    def backward_reads_bottom_data(self) -> bool:
        return False

    def allow_force_backward(self, bottom_index: int) -> bool:
        return True

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        a, b = bottom_shapes
        if math.prod(a[1:]) != math.prod(b[1:]):
            raise ShapeError(f"The bottoms have shapes {a} and {b}", hint="They must have as many numbers per item.")
        return super().infer_shapes(bottom_shapes)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        self._items = self.items(bottom)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done | None:
        a, b = (blob.data.reshape(-1) for blob in bottom)
        return self._do(self._distance, a, b, self._difference(bottom), top[0].data)

    def _distance(self, a: Array, b: Array, d: Array, loss: Array) -> None:
        np.subtract(a, b, out=d)
        loss[...] = np.dot(d, d) / (2 * self._items)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        wanted = [sign for sign, down in zip((1, -1), propagate_down, strict=True) if down]
        diffs = (blob.diff.reshape(-1) for blob, down in zip(bottom, propagate_down, strict=True) if down)
        return self._do(functools.partial(self._slopes, wanted), top[0].diff, self._difference(bottom), *diffs)

    def _slopes(self, signs: Sequence[int], weight: Array, d: Array, *diffs: Array) -> None:
        for sign, dx in zip(signs, diffs, strict=True):
            np.multiply(d, sign * weight.item() / self._items, out=dx)

    def _difference(self, bottom: Blobs) -> Array:
        """a - b, of the last forward pass."""
        return self._scratch("difference", (bottom[0].count,), bottom[0].dtype)
