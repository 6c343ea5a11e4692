"""Sigmoid: y = 1 / (1 + e^-x); dx = dy · y (1 - y)."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._neuron import ONE, NeuronLayer, sigmoid
from pycaffe_lite.registry import register_layer


@register_layer("Sigmoid")
class Sigmoid(NeuronLayer):
    """Logistic sigmoid. Top: the bottom's shape."""

    def backward_reads_bottom_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        sigmoid(x, out=y)

    def _gradient(self, y: Array, dy: Array, dx: Array) -> None:
        slope = np.subtract(ONE, y, out=self._room(dx, dy))
        slope *= y
        np.multiply(dy, slope, out=dx)
