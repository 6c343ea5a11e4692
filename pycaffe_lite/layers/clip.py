"""Clip: y = min(max(x, low), high); dx = dy where low <= x <= high, else 0."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("Clip")
class Clip(NeuronLayer):
    """Numbers held between clip_param.min and max. Top: the bottom's shape. Raises ParameterError without both, and
    for min above max.

    Differences from Caffe: it does not run in place, where Caffe lets every gradient through; min above max and a
    message without clip_param, of which Caffe makes a constant, are refused.
    """

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.clip_param
        if not self._message.HasField("clip_param"):
            raise ParameterError("There is no clip_param", hint="Clip needs one with min and max.")
        if p.min > p.max:
            raise ParameterError(
                f"min is {p.min:g} and max is {p.max:g}", field="clip_param.min", hint="min must not be above max."
            )
        self._low, self._high = p.min, p.max

    def may_run_in_place(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        np.clip(x, self._low, self._high, out=y)

    def _gradient(self, x: Array, dy: Array, dx: Array) -> None:
        np.multiply(dy, (x >= self._low) & (x <= self._high), out=dx)
