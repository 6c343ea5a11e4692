"""Filter: lets through the items whose selector, in the last bottom, is not zero; the others' gradient is zero."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import GraphError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, at_least, no_gradient_to
from pycaffe_lite.registry import register_layer


@register_layer("Filter")
class Filter(Layer):
    """Bottoms but the last: (N, ...); the last, the selector: (N), or with more axes of 1. A top for each of these
    bottoms: (number of items selected, ...), which may be 0. Before the first pass it is (N, ...).

    Raises ShapeError where bottoms differ in N or the selector has more numbers than that, GraphError for another
    number of tops and for a gradient wanted by the selector.
    """

    bottoms = at_least(2)
    tops = at_least(1)

    def backward_reads_top_data(self) -> bool:
        return False

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != len(self._message.bottom) - 1

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        selector, tops = bottom_shapes[-1], len(self._message.top)
        if tops != len(bottom_shapes) - 1:
            raise GraphError(
                f"{tops} tops for {len(bottom_shapes)} bottoms",
                hint="There must be a top for each bottom but the last, which selects.",
            )
        if math.prod(selector[1:]) != 1 or not selector:
            raise ShapeError(
                f"The selector, the last bottom, has shape {selector}", hint="It needs one number for each item."
            )
        for i, shape in enumerate(bottom_shapes[:-1]):
            if shape[:1] != selector[:1]:
                raise ShapeError(
                    f"bottom {i} has shape {shape}, the selector, the last bottom, {selector}",
                    hint="They need as many items.",
                )
        return [None] * tops

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        for x, y in zip(bottom, top, strict=False):
            y.reshape(*x.shape)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        selected = _selected(bottom)
        for x, y in zip(bottom, top, strict=False):
            y.reshape(len(selected), *x.shape[1:])
            y.data[...] = x.data[selected]

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(len(bottom) - 1, propagate_down, "the selector")
        selected = _selected(bottom)
        if len(selected) != top[0].shape[0]:
            raise GraphError(
                f"The selector lets {len(selected)} items through, the tops have {top[0].shape[0]}",
                hint="Run forward before backward.",
            )
        for x, y, down in zip(bottom, top, propagate_down, strict=False):
            if down:
                x.diff[...] = 0
                x.diff[selected] = y.diff


def _selected(bottom: Blobs) -> Array:
    """Which items go through."""
    return np.flatnonzero(bottom[-1].data)
