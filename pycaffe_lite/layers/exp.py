"""Exp: y = base^(shift + scale · x); dx = dy · y · scale · ln base."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._logarithm import natural_log, positive_base
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("Exp")
class Exp(NeuronLayer):
    """A power of a constant, of e for base -1. Top: the bottom's shape; inf where it overflows."""

    constraints = {"exp_param.base": positive_base()}

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.exp_param
        self._scale, self._shift = natural_log(p.base) * p.scale, natural_log(p.base) * p.shift

    def backward_reads_bottom_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        np.multiply(x, self._scale, out=y)
        y += self._shift
        with np.errstate(over="ignore"):
            np.exp(y, out=y)

    def _gradient(self, y: Array, dy: Array, dx: Array) -> None:
        np.multiply(dy, y, out=dx)
        dx *= self._scale
