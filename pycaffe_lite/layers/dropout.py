"""Dropout (Srivastava et al. 2014), inverted: in TRAIN each number is 0 with probability dropout_ratio, else scaled up.

    TRAIN  y = x · m / (1 - dropout_ratio)        dx = dy · m / (1 - dropout_ratio)
    TEST   y = x                                  dx = dy

m = 1 with probability 1 - dropout_ratio, else 0; backward has forward's.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import between
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._neuron import NeuronLayer
from pycaffe_lite.order import order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.threads import each


@register_layer("Dropout")
class Dropout(NeuronLayer):
    """Silence each input with probability dropout_ratio while training. Top: the bottom's shape."""

    keeps_signs = True
    constraints = {"dropout_param.dropout_ratio": between(0, 1)}

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._ratio = self._message.dropout_param.dropout_ratio

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].stored("data")
        if self.phase != pb.TRAIN:
            if top[0] is not bottom[0]:
                top[0].open("data", order_of(x))[...] = x
            return
        y = top[0].open("data", order_of(x))
        uniform = self._scratch("uniform", x.shape, np.float32)
        self._rng().random(out=uniform, dtype=np.float32)
        mask = np.greater_equal(uniform, self._ratio, out=self._scratch("mask", x.shape, np.bool_))
        each(self._scale, x, mask, y)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if not propagate_down[0]:
            return NOTHING
        if self.phase != pb.TRAIN:
            bottom[0].take_diff_of(top[0])
            return None
        dy = top[0].stored("diff")
        mask = self._scratch("mask", dy.shape, np.bool_)
        return self._do(functools.partial(each, self._scale), dy, mask, bottom[0].open("diff", order_of(dy)))

    def _scale(self, x: Array, mask: Array, y: Array) -> None:
        np.multiply(x, mask, out=y)
        y *= 1 / (1 - self._ratio)
