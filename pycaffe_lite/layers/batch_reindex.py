"""BatchReindex: items picked by index, in any order and as often as wanted.

y_k = x_i(k)        dx_i = Σ dy_k over all k with i(k) = i
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import DataError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, exactly, no_gradient_to
from pycaffe_lite.registry import register_layer


@register_layer("BatchReindex")
class BatchReindex(Layer):
    """Bottom 0 (N, ...), bottom 1 (M): integers, 0 to N - 1. Top (M, ...).

    Raises ShapeError for indices of another number of axes, DataError for one that is no item's, GraphError for a
    gradient wanted by the indices.
    """

    bottoms = exactly(2)
    tops = exactly(1)

    def backward_reads_top_data(self) -> bool:
        return False

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        x, index = bottom_shapes
        if not x:
            raise ShapeError("bottom 0 has shape ()", hint="It needs an axis of items to choose from.")
        if len(index) != 1:
            raise ShapeError(f"The indices, bottom 1, have shape {index}", hint="They need exactly one axis.")
        return [(*index, *x[1:])]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        whole = np.trunc(bottom[1].data)
        wrong = ~((whole >= 0) & (whole < bottom[0].shape[0]))
        if wrong.any():
            at = int(wrong.argmax())
            raise DataError(
                f"Index {bottom[1].data[at]:g}, at place {at}, is not between 0 and {bottom[0].shape[0] - 1}",
                hint="Indices are those of bottom 0's items.",
            )
        np.take(bottom[0].data, whole.astype(np.intp), axis=0, out=top[0].data, mode="clip")

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(1, propagate_down, "the indices")
        if not propagate_down[0]:
            return
        dx = bottom[0].diff
        dx[...] = 0
        # Sorted, all that goes to one item follows each other.
        index = bottom[1].data.astype(np.intp)
        order = index.argsort(kind="stable")
        items, starts = np.unique(index[order], return_index=True)
        if len(items):
            sums: Array = np.add.reduceat(top[0].diff[order], starts, axis=0)
            dx[items] = sums
