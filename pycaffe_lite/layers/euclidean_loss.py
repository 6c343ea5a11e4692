"""EuclideanLoss: loss = Σ (a - b)² / 2N, N the batch size; da = (a - b) · weight / N = -db."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers import _loss
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

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        d = self._difference(bottom)
        np.subtract(bottom[0].data.reshape(-1), bottom[1].data.reshape(-1), out=d)
        top[0].data[...] = np.dot(d, d) / (2 * self.items(bottom))

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        d, weight = self._difference(bottom), _loss.weight_of(top) / self.items(bottom)
        for blob, sign, down in zip(bottom, (1, -1), propagate_down, strict=True):
            if down:
                np.multiply(d, sign * weight, out=blob.diff.reshape(-1))

    def _difference(self, bottom: Blobs) -> Array:
        """a - b, of the last forward pass."""
        return self._scratch("difference", (bottom[0].count,), bottom[0].dtype)
