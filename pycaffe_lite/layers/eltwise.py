"""Eltwise: several blobs of one shape become one.

SUM   y = Σ coeff_i x_i           dx_i = coeff_i dy
PROD  y = Π x_i                   dx_i = dy Π_{j≠i} x_j   (or dy y / x_i without stable_prod_grad)
MAX   y = max x_i                 dx_i = dy where x_i was the largest
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.layer import Blobs, Layer, at_least, exactly, same_shape
from pycaffe_lite.order import order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.threads import each

log = logging.getLogger(__name__)

_OP = pb.EltwiseParameter


@register_layer("Eltwise")
class Eltwise(Layer):
    """Top: the bottoms' common shape. Where MAX ties, Caffe's choice: the second of the first two, else the earlier.

    Raises ParameterError for coeff with PROD or of another number than bottoms, ShapeError for bottoms of different
    shapes. MAX ignores coeff, as in Caffe, with a warning.
    """

    bottoms = at_least(2)
    tops = exactly(1)

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.eltwise_param
        if len(p.coeff) not in (0, len(bottom)):
            raise ParameterError(
                f"coeff is given {len(p.coeff)} times for {len(bottom)} bottoms",
                field="eltwise_param.coeff[0]",
                hint="Give it for every bottom or for none.",
            )
        if p.coeff and p.operation == _OP.PROD:
            raise ParameterError("coeff is given, but only SUM takes coefficients", field="eltwise_param.coeff[0]")
        if p.coeff and p.operation == _OP.MAX:
            log.warning("Layer '%s': coeff is ignored, as in Caffe: only SUM takes coefficients", self._message.name)
        self._op, self._stable = p.operation, p.stable_prod_grad
        self._coeff = list(p.coeff) or [1.0] * len(bottom)

    @property
    def is_sum(self) -> bool:
        """Whether it adds its bottoms up, each once."""
        return self._op == _OP.SUM and set(self._coeff) == {1}

    def backward_reads_bottom_data(self) -> bool:
        return self._message.eltwise_param.operation == _OP.PROD

    def backward_reads_top_data(self) -> bool:
        p = self._message.eltwise_param
        return p.operation == _OP.PROD and not p.stable_prod_grad

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        same_shape(bottom_shapes)
        return [bottom_shapes[0]]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        arrays = [blob.stored("data") for blob in bottom]
        y = top[0].open("data", order_of(arrays[0]))
        if self._op == _OP.SUM:
            each(self._sum, y, *arrays)
        elif self._op == _OP.PROD:
            each(_product, y, *arrays)
        else:
            each(_maximum, y, self._scratch("winner", y.shape, np.intp), *arrays)

    def _sum(self, y: Array, first: Array, *others: Array) -> None:
        np.multiply(first, self._coeff[0], out=y)
        for x, coeff in zip(others, self._coeff[1:], strict=True):
            y += x if coeff == 1 else coeff * x

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        dy = top[0].stored("diff")
        for i, (blob, down) in enumerate(zip(bottom, propagate_down, strict=True)):
            if not down:
                continue
            if self._op == _OP.SUM and self._coeff[i] == 1:
                blob.take_diff_of(top[0])
                continue
            dx = blob.open("diff", order_of(dy))
            if self._op == _OP.SUM:
                each(lambda dy, dx, coeff=self._coeff[i]: np.multiply(dy, coeff, out=dx), dy, dx)
            elif self._op == _OP.MAX:
                won, bits = self._scratch("winner", dy.shape, np.intp) == i, np.dtype(f"i{dy.itemsize}")
                np.multiply(dy.view(bits), won, out=dx.view(bits))  # 0 times infinity or NaN is not 0, of bits it is
            elif self._stable:
                dx[...] = dy
                for j, other in enumerate(bottom):
                    if j != i:
                        dx *= other.stored("data")
            else:
                with np.errstate(all="ignore"):  # Caffe divides by zero here too
                    np.divide(top[0].stored("data"), blob.stored("data"), out=dx)
                dx *= dy


def _product(y: Array, first: Array, second: Array, *others: Array) -> None:
    np.multiply(first, second, out=y)
    for x in others:
        y *= x


def _maximum(y: Array, winner: Array, first: Array, second: Array, *others: Array) -> None:
    larger = first > second
    winner[...] = np.where(larger, 0, 1)
    y[...] = np.where(larger, first, second)
    for i, x in enumerate(others, start=2):
        larger = x > y
        np.copyto(y, x, where=larger)
        winner[larger] = i
