"""ELU (Clevert et al. 2015): y = x where x > 0, else α (e^x - 1); dx = dy · (x > 0 ? 1 : α + y)."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
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

    def backward_reads_top_data(self) -> bool:
        return not self.backward_reads_bottom_data()

    def _value(self, x: Array, y: Array) -> None:
        below = np.minimum(x, 0, out=self._scratch_like(x, "below"))
        np.expm1(below, out=below)
        below *= self._alpha
        np.maximum(x, 0, out=y)
        y += below

    def _gradient(self, known: Array, dy: Array, dx: Array) -> None:
        above = np.multiply(dy, known > 0, out=self._scratch_like(known, "above"))
        slope = self._scratch_like(known, "below")
        if self._alpha < 0:
            np.minimum(known, 0, out=slope)
            np.exp(slope, out=slope)
            slope *= self._alpha
        else:
            np.add(known, self._alpha, out=slope)
        np.subtract(dy, above, out=dx)
        dx *= slope
        dx += above
