"""Reduction: the axes from `axis` on become one number. With n their product and c the coeff,

SUM    y = c Σ x        dx = c dy            ASUM   y = c Σ |x|     dx = c sign(x) dy
MEAN   y = c/n Σ x      dx = c/n dy          SUMSQ  y = c Σ x²      dx = 2 c x dy
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Shape
from pycaffe_lite.layer import Blobs, Layer, canonical_axis, exactly
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

_OP = pb.ReductionParameter


@register_layer("Reduction")
class Reduction(Layer):
    """Top: the bottom's shape up to `axis`."""

    bottoms = exactly(1)
    tops = exactly(1)

    def backward_reads_bottom_data(self) -> bool:
        return self._message.reduction_param.operation in (_OP.ASUM, _OP.SUMSQ)

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        axis = canonical_axis(self._message.reduction_param.axis, bottom_shapes[0], "reduction_param.axis")
        return [bottom_shapes[0][:axis]]

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        p = self._message.reduction_param
        kept = len(top[0].shape)
        self._view = math.prod(bottom[0].shape[:kept]), math.prod(bottom[0].shape[kept:])
        self._op = p.operation
        self._coeff = p.coeff / max(1, self._view[1]) if p.operation == _OP.MEAN else p.coeff

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x, y = bottom[0].data.reshape(self._view), top[0].data.reshape(self._view[0])
        if self._op == _OP.SUMSQ:
            sum_over((1,), x, x, out=y)
        else:
            (np.abs(x) if self._op == _OP.ASUM else x).sum(axis=1, out=y)
        y *= self._coeff

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        x, dx = bottom[0].data.reshape(self._view), bottom[0].diff.reshape(self._view)
        share = self._coeff * top[0].diff.reshape(-1, 1)
        if self._op == _OP.ASUM:
            np.multiply(np.sign(x), share, out=dx)
        elif self._op == _OP.SUMSQ:
            np.multiply(x, 2 * share, out=dx)
        else:
            dx[...] = share
