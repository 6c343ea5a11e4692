"""Clip: y = min(max(x, low), high); dx = dy where low <= x <= high, else 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        np.clip(bottom[0].data, self._low, self._high, out=top[0].data)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            x = bottom[0].data
            np.multiply(top[0].diff, (x >= self._low) & (x <= self._high), out=bottom[0].diff)
