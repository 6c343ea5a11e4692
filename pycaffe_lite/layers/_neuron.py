"""What element-wise layers share: one bottom, one top, one shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layer import Layer, exactly


class NeuronLayer(Layer):
    """y[i] depends on x[i] alone. May run in place unless a subclass knows better."""

    bottoms = exactly(1)
    tops = exactly(1)

    def may_run_in_place(self) -> bool:
        return True

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return [bottom_shapes[0]]


def sigmoid(x: Array, out: Array) -> Array:
    """The form that never overflows: (1 + tanh(x / 2)) / 2. `out` may be x."""
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1
    out *= 0.5
    return out
