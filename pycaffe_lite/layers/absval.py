"""AbsVal: y = |x|; dx = dy · sign(x)."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("AbsVal")
class AbsVal(NeuronLayer):
    """Absolute value; the gradient at 0 is 0. Top: the bottom's shape.

    Differences from Caffe: written in place it gets memory of its own, Caffe refuses it.
    """

    def may_run_in_place(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        np.abs(x, out=y)

    def _gradient(self, x: Array, dy: Array, dx: Array) -> None:
        np.sign(x, out=dx)
        dx *= dy
