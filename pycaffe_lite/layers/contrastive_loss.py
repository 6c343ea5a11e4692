"""ContrastiveLoss (Hadsell, Chopra and LeCun 2006): similar pairs are drawn together, others pushed beyond a margin.

With δ = a - b and d = |δ| of each pair:

    similar           loss = Σ d² / 2N                  da = δ · weight / N
    other             loss = Σ max(0, margin - d)² / 2N    da = -δ max(0, margin - d) / (d + 1e-4) · weight / N
    other, legacy     loss = Σ max(0, margin - d²) / 2N    da = -δ [d² < margin] · weight / N

and db = -da. The 1e-4 is Caffe's, against division by zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, exactly, no_gradient_to
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._loss import LossLayer
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.registry import register_layer

_NO_ZERO = 1e-4


@register_layer("ContrastiveLoss")
class ContrastiveLoss(LossLayer):
    """Bottoms 0 and 1: N vectors each, both get gradients; bottom 2: N numbers, other than 0 for a similar pair (its
    fraction is cut off). Top: (). Raises ShapeError for vectors of different sizes or another number of labels.

    Differences from Caffe: vectors may have more than one axis.
    """

    bottoms = exactly(3)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 2

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        a, b, labels = bottom_shapes
        if math.prod(a[1:]) != math.prod(b[1:]):
            raise ShapeError(f"The bottoms have shapes {a} and {b}", hint="They must have as many numbers per item.")
        if not a or math.prod(labels) != a[0]:
            raise ShapeError(
                f"The labels have shape {labels}, the vectors {a}",
                hint="There must be one label for each pair.",
            )
        return super().infer_shapes(bottom_shapes)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.contrastive_loss_param
        self._margin, self._legacy = p.margin, p.legacy_version

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        delta, similar = self._pairs(bottom)
        square = sum_over((1,), delta, delta)
        if self._legacy:
            apart = np.maximum(0, self._margin - square)
        else:
            apart = np.maximum(0, self._margin - np.sqrt(square)) ** 2
        top[0].data[...] = np.where(similar, square, apart).sum() / (2 * self.items(bottom))

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(2, propagate_down, "the labels")
        if not any(propagate_down):
            return
        delta, similar = self._pairs(bottom)
        square = sum_over((1,), delta, delta)
        if self._legacy:
            push = (square < self._margin).astype(delta.dtype)
        else:
            d = np.sqrt(square)
            push = np.maximum(0, self._margin - d) / (d + _NO_ZERO)
        delta *= (np.where(similar, 1, -push) * (_loss.weight_of(top) / self.items(bottom)))[:, None]
        for blob, sign, down in zip(bottom[:2], (1, -1), propagate_down[:2], strict=True):
            if down:
                np.multiply(delta, sign, out=blob.diff.reshape(delta.shape))

    def _pairs(self, bottom: Blobs) -> tuple[Array, Array]:
        """a - b, (N, K), and which pairs are similar, (N,)."""
        a = bottom[0].data.reshape(bottom[0].shape[0], math.prod(bottom[0].shape[1:]))
        delta = self._scratch("delta", a.shape, a.dtype)
        np.subtract(a, bottom[1].data.reshape(a.shape), out=delta)
        return delta, np.trunc(bottom[2].data.reshape(-1)) != 0
