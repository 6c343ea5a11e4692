"""Log: y = ln(shift + scale · x) / ln base; dx = dy · scale / ((shift + scale · x) ln base)."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._logarithm import natural_log, positive_base
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("Log")
class Log(NeuronLayer):
    """A logarithm, the natural one for base -1. Top: the bottom's shape; -inf and NaN where there is none.

    Differences from Caffe: it does not run in place, where Caffe takes y for x in backward.
    """

    constraints = {"log_param.base": positive_base(1.0)}

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.log_param
        self._scale, self._shift, self._ln_base = p.scale, p.shift, natural_log(p.base)

    def may_run_in_place(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        np.multiply(x, self._scale, out=y)
        y += self._shift
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log(y, out=y)
        y /= self._ln_base

    def _gradient(self, x: Array, dy: Array, dx: Array) -> None:
        np.multiply(x, self._scale, out=dx)
        dx += self._shift
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(dy, dx, out=dx)
        dx *= self._scale / self._ln_base
