"""Sigmoid: y = 1 / (1 + e^-x); dx = dy · y (1 - y)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer, sigmoid
from pycaffe_lite.registry import register_layer


@register_layer("Sigmoid")
class Sigmoid(NeuronLayer):
    """Logistic sigmoid. Top: the bottom's shape."""

    def backward_reads_bottom_data(self) -> bool:
        return False

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        sigmoid(bottom[0].data, out=top[0].data)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            y = top[0].data
            slope = self._scratch("slope", y.shape, y.dtype)
            np.subtract(1, y, out=slope)
            slope *= y
            np.multiply(top[0].diff, slope, out=bottom[0].diff)
