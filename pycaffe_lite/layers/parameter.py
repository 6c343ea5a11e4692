"""Parameter: a learnable blob as a top, for layers that take their weights as bottoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Shape
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.registry import register_layer


@register_layer("Parameter")
class Parameter(Layer):
    """Top: parameter_param.shape. Blob: the top; zeros, as there is no filler.

    Differences from Caffe: it overwrites the parameter's gradient, we add to it; the top is a copy of the blob, so that
    layers that run in place on it do not change the parameter.
    """

    bottoms = exactly(0)
    tops = exactly(1)

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return [tuple(self._message.parameter_param.shape.dim)]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._add_param(tuple(self._message.parameter_param.shape.dim))

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        np.copyto(top[0].data, self.blobs[0].stored("data"))

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if self.param_propagate_down(0):
            self.blobs[0].diff[...] += top[0].diff
