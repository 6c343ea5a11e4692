"""Sigmoid, TanH and ELU by oneDNN's element-wise primitives, which read memory once and use all threads.

Other neurons are numpy's: oneDNN's Exp and Clip make numbers of NaN; of its BNLL small values are off by a millionth;
its logarithm is slower; AbsVal and most powers take as long as memory does; Swish runs in place, and oneDNN's gradient
needs x.
"""

from __future__ import annotations

import ctypes
from typing import ClassVar

from pycaffe_lite._typing import Array
from pycaffe_lite.done import Done
from pycaffe_lite.engines.onednn._arrays import MIN_COUNT, alike, is_fast, many_alike, takes
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    DIFF_DST,
    DIFF_SRC,
    DST,
    FORWARD_TRAINING,
    SRC,
    Description,
    Layout,
    PostOp,
    Primitive,
    plain_layout,
)
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.layers.elu import ELU
from pycaffe_lite.layers.sigmoid import Sigmoid
from pycaffe_lite.layers.tanh import TanH
from pycaffe_lite.order import order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

TANH, EXPONENTIAL_LINEAR, LOGISTIC = 0x21, 0x22, 0x29
TANH_OF_Y, EXPONENTIAL_LINEAR_OF_Y, LOGISTIC_OF_Y = 0x101, 0x102, 0x104


class Elementwise(NeuronLayer):
    """To be mixed into numpy's layer, which computes what is not float32, small, or lies otherwise than its result."""

    algorithm: ClassVar[int]
    """oneDNN's name for y of x, which takes `_number`."""
    algorithm_of_y: ClassVar[int]
    """Its name for the same where dx is computed from y."""
    _made_for = 0
    _made: tuple[Primitive | None, Primitive | None]

    def _number(self) -> float:
        return 0.0

    def post_op(self) -> PostOp:
        """y of x, behind a primitive that makes x."""
        return self.algorithm, self._number(), 0.0

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        least = 1 if self.phase == pb.TEST else MIN_COUNT
        return not takes([*bottom, *top]) or top[0].count < least or self._primitives(top[0].count)[0] is None

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done | None:
        x = bottom[0].stored("data")
        y = top[0].open("data", order_of(x))
        fast = alike if self.phase == pb.TEST else many_alike  # done again, few numbers take no longer than numpy's
        run = self._primitives(x.size)[0] if fast(x, y) else None
        if run is None:
            return self._do(self._value, x, y)
        run(x, y)
        return run

    def _gradient(self, known: Array, dy: Array, dx: Array) -> None:
        run = self._primitives(known.size)[1] if many_alike(known, dy, dx) else None
        if run is None:
            super()._gradient(known, dy, dx)
        else:
            run(dx, dy, known)

    def _primitives(self, count: int) -> tuple[Primitive | None, Primitive | None]:
        """y of x, and dx of dy and y; None where there is none, or none that is fast."""
        if count != self._made_for:
            self._made_for, self._made = count, self._make(count)
        return self._made

    def _make(self, count: int) -> tuple[Primitive | None, Primitive | None]:
        lies, engine = plain_layout((count,)), library().engine
        x, numbers = lies.handle, (ctypes.c_float(self._number()), ctypes.c_float(0))
        forward = Description.make("eltwise_forward", engine, FORWARD_TRAINING, self.algorithm, x, x, *numbers)
        backward, of_y = None, self.algorithm_of_y
        if not self.backward_reads_bottom_data():
            hint = Description.make("eltwise_forward", engine, FORWARD_TRAINING, of_y, x, x, *numbers)
            backward = hint and Description.make("eltwise_backward", engine, of_y, x, x, x, *numbers, hint)
        arguments = {SRC: lies, DST: lies}, {DIFF_SRC: lies, DIFF_DST: lies, DST: lies}
        return _fast(forward, arguments[0]), _fast(backward, arguments[1])


def _fast(description: Description | None, arguments: dict[int, Layout]) -> Primitive | None:
    return Primitive(description, arguments) if description is not None and is_fast(description) else None


@register_layer("Sigmoid", engine="onednn")
class OneDnnSigmoid(Elementwise, Sigmoid):
    """Both passes."""

    algorithm, algorithm_of_y = LOGISTIC, LOGISTIC_OF_Y


@register_layer("TanH", engine="onednn")
class OneDnnTanH(Elementwise, TanH):
    """Both passes."""

    algorithm, algorithm_of_y = TANH, TANH_OF_Y


@register_layer("ELU", engine="onednn")
class OneDnnELU(Elementwise, ELU):
    """Both passes; the gradient with alpha below 0 is numpy's, as y does not tell x's sign."""

    algorithm, algorithm_of_y = EXPONENTIAL_LINEAR, EXPONENTIAL_LINEAR_OF_Y

    def _number(self) -> float:
        return float(self._alpha)
