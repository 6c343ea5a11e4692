"""BNLL, binomial normal log likelihood (softplus): y = log(1 + e^x); dx = dy · σ(x) = dy · (1 - e^-y)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("BNLL")
class BNLL(NeuronLayer):
    """Smooth ReLU, in the form that never overflows. Top: the bottom's shape.

    Differences from Caffe: its gradient is right in place too, where Caffe takes y for x.
    """

    def backward_reads_bottom_data(self) -> bool:
        return False

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        # max(x, 0) + log(1 + e^-|x|): several times as fast as logaddexp, and as exact.
        x, y = bottom[0].data, top[0].data
        rest = np.abs(x, out=self._scratch("rest", x.shape, x.dtype))
        np.negative(rest, out=rest)
        np.exp(rest, out=rest)
        np.log1p(rest, out=rest)
        np.maximum(x, 0, out=y)
        y += rest

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            y = top[0].data
            minus_slope = np.negative(y, out=self._scratch("rest", y.shape, y.dtype))
            np.expm1(minus_slope, out=minus_slope)
            dx = np.multiply(top[0].diff, minus_slope, out=bottom[0].diff)
            np.negative(dx, out=dx)
