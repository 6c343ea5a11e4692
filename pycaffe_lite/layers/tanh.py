"""TanH: y = tanh(x); dx = dy · (1 - y²)."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("TanH")
class TanH(NeuronLayer):
    """Hyperbolic tangent. Top: the bottom's shape."""

    def backward_reads_bottom_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        np.tanh(x, out=y)

    def _gradient(self, y: Array, dy: Array, dx: Array) -> None:
        slope = np.multiply(y, y, out=self._room(dx, dy))
        np.subtract(1, slope, out=slope)
        np.multiply(dy, slope, out=dx)
