"""PReLU (He et al. 2015), a ReLU that learns a slope a for each channel:

y = max(x, 0) + a min(x, 0)        da += Σ dy min(x, 0)        dx = dy · (x > 0 ? 1 : a)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Shape
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.order import order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer


@register_layer("PReLU")
class PReLU(NeuronLayer):
    """Bottom (N, C, ...); top the same. Blob: a (C), or one number with channel_shared; filled with 0.25 by default.

    Raises ShapeError for a bottom without channels, or with others than the slopes are for.

    Differences from Caffe: in place, where a backward pass runs, its top has memory of its own; Caffe copies x.
    """

    in_place_without_backward = True

    def may_run_in_place(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        if len(bottom_shapes[0]) < 2:
            raise ShapeError(f"The bottom has shape {bottom_shapes[0]}", hint="PReLU needs (num, channels, ...).")
        return [bottom_shapes[0]]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.prelu_param
        self.infer_shapes([bottom[0].shape])
        self._shared = p.channel_shared
        shape = () if p.channel_shared else bottom[0].shape[1:2]
        self._add_param(shape, "prelu_param.filler", pb.FillerParameter(value=0.25))

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        n, c, *rest = bottom[0].shape
        if not self._shared and (c,) != self.blobs[0].shape:
            raise ShapeError(
                f"The bottom has {c} channels, the slopes are for {self.blobs[0].count}",
                hint="The number of channels cannot change once the net is built.",
            )
        # Whichever way the numbers lie, places that follow each other are equally far apart: this shape makes a view.
        self._parts = n, c, math.prod(rest)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        given = bottom[0].stored("data")
        x, y = given.reshape(self._parts), top[0].open("data", order_of(given)).reshape(self._parts)
        below = np.minimum(x, 0, out=self._scratch_like(x, "below"))
        below *= self.blobs[0].stored("data").reshape(-1, 1)
        np.maximum(x, 0, out=y)
        y += below

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        given, slope = top[0].stored("diff"), self.blobs[0]
        x, dy = bottom[0].stored("data").reshape(self._parts), given.reshape(self._parts)
        if self.param_propagate_down(0):
            below = np.minimum(x, 0, out=self._scratch_like(x, "below"))
            below *= dy
            slope.diff[...] += sum_over((0, 1, 2) if self._shared else (0, 2), below).reshape(slope.shape)
        if propagate_down[0]:
            dx = bottom[0].open("diff", order_of(given)).reshape(self._parts)
            above = np.multiply(dy, x > 0, out=self._scratch_like(x, "above"))
            np.subtract(dy, above, out=dx)
            dx *= slope.stored("data").reshape(-1, 1)
            dx += above
