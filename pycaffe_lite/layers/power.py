"""Power: y = (shift + scale · x)^power; dx = dy · power · scale · (shift + scale · x)^(power - 1)."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("Power")
class Power(NeuronLayer):
    """An affine map and a power. Top: the bottom's shape.

    Differences from Caffe: with shift 0 it divides y by x in backward and gives NaN at x = 0, we give the derivative;
    with a power other than 0 and 1 it does not run in place, which would lose x.
    """

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.power_param
        self._power, self._scale, self._shift = p.power, p.scale, p.shift

    def backward_reads_bottom_data(self) -> bool:
        p = self._message.power_param
        return p.power not in (0, 1) and p.scale != 0

    def backward_reads_top_data(self) -> bool:
        return False

    def may_run_in_place(self) -> bool:
        return not self.backward_reads_bottom_data()

    def _value(self, x: Array, y: Array) -> None:
        np.multiply(x, self._scale, out=y)
        y += self._shift
        if self._power != 1:
            with np.errstate(all="ignore"):  # inf and NaN where C's pow gives them
                np.power(y, self._power, out=y)

    def _gradient(self, x: Array, dy: Array, dx: Array) -> None:
        factor = self._power * self._scale
        np.multiply(dy, factor, out=dx)
        if self._power != 1 and factor != 0:
            base = np.multiply(x, self._scale, out=self._scratch_like(x, "base"))
            base += self._shift
            with np.errstate(all="ignore"):
                dx *= np.power(base, self._power - 1, out=base)
