"""What losses share that compare K numbers per item with one integer label per item."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._loss import LossLayer


class ItemLabelLoss(LossLayer):
    """Bottom 0: N items of K numbers, one for each class; bottom 1: N labels; top: the loss, ().

    Raises ShapeError for another number of labels, DataError for a label that is no class.
    """

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        x, labels = bottom_shapes
        if not x or math.prod(labels) != x[0]:
            raise ShapeError(
                f"The labels have shape {labels}, predictions of shape {x}",
                hint="There must be one label for each item.",
            )
        return super().infer_shapes(bottom_shapes)

    def per_item(self, array: Array) -> Array:
        """A view of shape (N, K)."""
        return array.reshape(len(array), math.prod(array.shape[1:]))

    def labels(self, bottom: Blobs) -> Array:
        """The labels as N indices."""
        x = self.per_item(bottom[0].data)
        return _loss.read_labels(bottom[1].data, x.shape[1], (len(x),), None)[0]
