"""ReLU: y = max(x, 0) + negative_slope · min(x, 0); dx = dy · (x > 0 ? 1 : negative_slope)."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer
from pycaffe_lite.threads import each


@register_layer("ReLU")
class ReLU(NeuronLayer):
    """Rectified linear unit, leaky where negative_slope is not 0. Top: the bottom's shape.

    Differences from Caffe: with a negative negative_slope it does not run in place, which would lose x's sign. Of -∞ it
    makes 0 where Caffe makes NaN, 0 · -∞; an engine may make either.
    """

    needs_only_signs = True
    keeps_signs = True

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._slope = self._message.relu_param.negative_slope

    def may_run_in_place(self) -> bool:
        return self._message.relu_param.negative_slope >= 0

    def backward_reads_top_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        each(self._rectify, x, y)

    def _gradient(self, x: Array, dy: Array, dx: Array) -> None:
        each(self._pass_on, x, dy, dx)

    def _rectify(self, x: Array, y: Array) -> None:
        if self._slope == 0:
            np.maximum(x, 0, out=y)
        else:
            np.multiply(x, self._slopes(x), out=y)

    def _pass_on(self, x: Array, dy: Array, dx: Array) -> None:
        np.multiply(dy, x > 0 if self._slope == 0 else self._slopes(x), out=dx)

    def _slopes(self, x: Array) -> Array:
        slopes: Array = np.where(x > 0, x.dtype.type(1), x.dtype.type(self._slope))
        return slopes
