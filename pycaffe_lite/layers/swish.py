"""Swish (Ramachandran et al. 2017): y = x σ(βx); dx = dy · (βy + σ(βx) (1 - βy))."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer, sigmoid
from pycaffe_lite.registry import register_layer


@register_layer("Swish")
class Swish(NeuronLayer):
    """x times its sigmoid, which is kept for backward, so that it may run in place. Top: the bottom's shape."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._beta = self._message.swish_param.beta

    def backward_reads_bottom_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        gate = np.multiply(x, self._beta, out=self._scratch("gate", x.shape, x.dtype))
        np.multiply(x, sigmoid(gate, out=gate), out=y)

    def _gradient(self, y: Array, dy: Array, dx: Array) -> None:
        gate = self._scratch("gate", y.shape, y.dtype)
        scaled = np.multiply(y, self._beta, out=self._scratch_like(y, "scaled"))
        slope = np.subtract(1, scaled, out=self._scratch_like(y, "slope"))
        slope *= gate
        slope += scaled
        np.multiply(dy, slope, out=dx)
