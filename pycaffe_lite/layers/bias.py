"""Bias: y = x + b, b broadcast along x's other axes; db += Σ dy, dx = dy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.constraints import at_least
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._broadcast import BroadcastLayer
from pycaffe_lite.order import order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.threads import each


@register_layer("Bias")
class Bias(BroadcastLayer):
    """Adds bottom 1, or a learnable blob of x.shape[axis : axis + num_axes], filled with 0 by default.
    Blob: b unless it is bottom 1.

    Raises ParameterError for axes that x does not have, ShapeError for a bottom 1 that does not fit.
    """

    constraints = {"bias_param.num_axes": at_least(-1)}

    def _fields(self) -> tuple[str, pb.BiasParameter]:
        return "bias_param", self._message.bias_param

    def may_run_in_place(self) -> bool:
        return True

    def backward_reads_bottom_data(self) -> bool:
        return False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        if len(bottom) == 1:
            _, shape = self._place([bottom[0].shape])
            self._add_param(shape, "bias_param.filler")

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].stored("data")
        each(np.add, x, self._widened(self._operand(bottom)), top[0].open("data", order_of(x)))

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        dy = top[0].stored("diff")
        if self._operand_learns(propagate_down):
            self._give_operand(bottom, dy)
        if propagate_down[0]:
            bottom[0].take_diff_of(top[0])
