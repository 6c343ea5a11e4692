"""Scale: y = x s + b, s and b broadcast along x's other axes; ds += Σ dy x, db += Σ dy, dx = dy s."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import at_least
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._broadcast import BroadcastLayer
from pycaffe_lite.order import order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.threads import each


@register_layer("Scale")
class Scale(BroadcastLayer):
    """Multiplies by bottom 1, or by a learnable blob of x.shape[axis : axis + num_axes], filled with 1 by default; with
    bias_term adds another of that shape. Blobs: s unless it is bottom 1; b with bias_term.

    Raises ParameterError for axes that x does not have, ShapeError for a bottom 1 that does not fit.

    Differences from Caffe: at axis 0 it overwrites the gradient of s, we add to it; written in place it gets memory of
    its own where backward will run, for which Caffe keeps a copy of x.
    """

    in_place_without_backward = True
    constraints = {"scale_param.num_axes": at_least(-1)}

    def _fields(self) -> tuple[str, pb.ScaleParameter]:
        return "scale_param", self._message.scale_param

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.scale_param
        _, shape = self._place([b.shape for b in bottom])
        if len(bottom) == 1:
            self._add_param(shape, "scale_param.filler", pb.FillerParameter(value=1))
        if p.bias_term:
            self._add_param(shape, "scale_param.bias_filler")
        self._bias = p.bias_term

    def is_affine(self) -> bool:
        """Whether forward is y = x f + a with a learnable number each, or a = 0, for every channel, at axis 1."""
        p = self._message.scale_param
        return len(self._message.bottom) == 1 and p.axis == p.num_axes == 1

    def affine(self) -> tuple[Array, Array | float]:
        """f and a."""
        return self.blobs[0].stored("data"), self.blobs[1].stored("data") if self._bias else 0.0

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].stored("data")
        y = top[0].open("data", order_of(x))
        each(np.multiply, x, self._widened(self._operand(bottom)), y)
        if self._bias:
            each(np.add, y, self._widened(self.blobs[-1]), y)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        x, dy = bottom[0].stored("data"), top[0].stored("diff")
        if self._bias and self.param_propagate_down(len(self.blobs) - 1):
            bias = self.blobs[-1]
            bias.diff[...] += self._sum(dy, bias)
        if self._operand_learns(propagate_down):
            products = self._scratch_like(dy, "products")
            each(np.multiply, dy, x, products)
            self._give_operand(bottom, products)
        if propagate_down[0]:
            each(np.multiply, dy, self._widened(self._operand(bottom)), bottom[0].open("diff", order_of(dy)))
