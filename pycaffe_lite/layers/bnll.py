"""BNLL, binomial normal log likelihood (softplus): y = log(1 + e^x); dx = dy · σ(x) = dy · (1 - e^-y)."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("BNLL")
class BNLL(NeuronLayer):
    """Smooth ReLU, in the form that never overflows. Top: the bottom's shape.

    Differences from Caffe: its gradient is right in place too, where Caffe takes y for x.
    """

    def backward_reads_bottom_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        # max(x, 0) + log(1 + e^-|x|): several times as fast as logaddexp, and as exact.
        rest = np.abs(x, out=self._scratch_like(x, "rest"))
        np.negative(rest, out=rest)
        np.exp(rest, out=rest)
        np.log1p(rest, out=rest)
        np.maximum(x, 0, out=y)
        y += rest

    def _gradient(self, y: Array, dy: Array, dx: Array) -> None:
        minus_slope = np.negative(y, out=self._scratch_like(y, "rest"))
        np.expm1(minus_slope, out=minus_slope)
        np.multiply(dy, minus_slope, out=dx)
        np.negative(dx, out=dx)
