"""Softmax over one axis: y_c = e^(x_c - max x) / Σ_k e^(x_k - max x); dx_c = y_c (dy_c - Σ_k dy_k y_k)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Done
from pycaffe_lite.layer import Blobs, Layer, canonical_axis, exactly
from pycaffe_lite.layers._loss import softmax
from pycaffe_lite.order import order_of
from pycaffe_lite.registry import register_layer


@register_layer("Softmax")
class Softmax(Layer):
    """Probabilities along softmax_param.axis. Top: the bottom's shape."""

    bottoms = exactly(1)
    tops = exactly(1)

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def may_run_in_place(self) -> bool:
        return True

    def backward_reads_bottom_data(self) -> bool:
        return False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._axis = self._message.softmax_param.axis

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        canonical_axis(self._message.softmax_param.axis, bottom_shapes[0], "softmax_param.axis")
        return [bottom_shapes[0]]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done | None:
        x = bottom[0].stored("data")
        return self._do(self._probabilities, x, top[0].open("data", order_of(x)))

    def _probabilities(self, x: Array, y: Array) -> None:
        softmax(x, self._axis, out=y)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            y, dy = top[0].stored("data"), top[0].stored("diff")
            dot = (dy * y).sum(axis=self._axis, keepdims=True)
            dx = np.subtract(dy, dot, out=bottom[0].open("diff", order_of(dy)))
            dx *= y
