"""ELU (Clevert et al. 2015): y = x where x > 0, else α (e^x - 1); dx = dy · (x > 0 ? 1 : α + y)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("ELU")
class ELU(NeuronLayer):
    """Exponential linear unit. Top: the bottom's shape.

    Differences from Caffe: with a negative alpha it does not run in place, which would lose x's sign.
    """

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._alpha = self._message.elu_param.alpha

    def may_run_in_place(self) -> bool:
        return self._message.elu_param.alpha >= 0

    def backward_reads_bottom_data(self) -> bool:
        """y has x's sign unless alpha is negative."""
        return self._message.elu_param.alpha < 0

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x, y = bottom[0].data, top[0].data
        below = np.minimum(x, 0, out=self._scratch("below", x.shape, x.dtype))
        np.expm1(below, out=below)
        below *= self._alpha
        np.maximum(x, 0, out=y)
        y += below

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        y, dy, dx = top[0].data, top[0].diff, bottom[0].diff
        positive = (bottom[0].data if self._alpha < 0 else y) > 0
        above = np.multiply(dy, positive, out=self._scratch("above", y.shape, y.dtype))
        slope = np.add(y, self._alpha, out=self._scratch("below", y.shape, y.dtype))
        np.subtract(dy, above, out=dx)
        dx *= slope
        dx += above
