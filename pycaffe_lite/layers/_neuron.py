"""What element-wise layers share: one bottom, one top, one shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.order import order_of


class NeuronLayer(Layer):
    """y[i] depends on x[i] alone. May run in place unless a subclass knows better.

    Subclasses write `_value`, and `_gradient`, of which one array is x if backward_reads_bottom_data, else y.
    """

    bottoms = exactly(1)
    tops = exactly(1)

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def may_run_in_place(self) -> bool:
        return True

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return [bottom_shapes[0]]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done | None:
        x = bottom[0].stored("data")
        return self._do(self._value, x, top[0].open("data", order_of(x)))

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if not self.has_backward:
            return super().backward_cpu(top, propagate_down, bottom)
        if not propagate_down[0]:
            return NOTHING
        read = bottom if self.backward_reads_bottom_data() else top
        known, dy = read[0].stored("data"), top[0].stored("diff")
        return self._do(self._gradient, known, dy, bottom[0].open("diff", order_of(dy)))

    def _value(self, x: Array, y: Array) -> None:
        """Write y, which may be x."""
        raise NotImplementedError

    def _gradient(self, known: Array, dy: Array, dx: Array) -> None:
        """Write dx, which may be dy."""
        raise NotImplementedError

    def _room(self, dx: Array, dy: Array) -> Array:
        """Memory for a slope that dy is then multiplied by: dx, unless it is dy."""
        return self._scratch_like(dx, "slope") if np.may_share_memory(dx, dy) else dx


ONE, HALF = np.array(1, np.float32), np.array(0.5, np.float32)
"""As arrays, which numpy takes twice as fast as Python's numbers: of few numbers that is most of the time."""


def sigmoid(x: Array, out: Array) -> Array:
    """The form that never overflows: (1 + tanh(x / 2)) / 2. `out` may be x."""
    np.multiply(x, HALF, out=out)
    np.tanh(out, out=out)
    out += ONE
    out *= HALF
    return out
