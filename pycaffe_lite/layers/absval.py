"""AbsVal: y = |x|; dx = dy · sign(x)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.layer import Blobs
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

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        np.abs(bottom[0].data, out=top[0].data)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            dx = np.sign(bottom[0].data, out=bottom[0].diff)
            dx *= top[0].diff
