"""Threshold: y = 1 where x > threshold, else 0; no gradient."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.registry import register_layer


@register_layer("Threshold")
class Threshold(NeuronLayer):
    """Step function. Top: the bottom's shape. Raises GraphError where a gradient is asked for."""

    has_backward = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._threshold = self._message.threshold_param.threshold

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def _value(self, x: Array, y: Array) -> None:
        np.greater(x, self._threshold, out=y)
