"""Split: hands one blob to several readers and sums their gradients: dx = Σ dy_k. Nets insert it where it is needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.layer import Blobs, at_least
from pycaffe_lite.layers._view import ViewLayer
from pycaffe_lite.order import Order, order_of
from pycaffe_lite.registry import register_layer
from pycaffe_lite.threads import each


@register_layer("Split")
class Split(ViewLayer):
    """Every top is the bottom's data, without a copy. Tops: the bottom's shape."""

    tops = at_least(1)

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return [bottom_shapes[0]] * len(self._message.top)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if not propagate_down[0]:
            return NOTHING
        given = [t for t in top if t.has_diff]  # the others are zero
        if len(given) == 1:
            bottom[0].take_diff_of(given[0])
            return None
        if not given:
            bottom[0].open("diff", Order.PLAIN)[...] = 0
            return None
        diffs = [t.stored("diff") for t in given]
        return self._do(self._sum_up, bottom[0].open("diff", order_of(diffs[0])), *diffs)

    def _sum_up(self, dx: Array, first: Array, second: Array, *others: Array) -> None:
        self._add(first, second, out=dx)
        for dy in others:
            self._add(dx, dy, out=dx)

    def _add(self, x: Array, other: Array, out: Array) -> None:
        """`out`, of any order, becomes the sum; it may be x."""
        each(np.add, x, other, out)
