"""LRN across channels."""

from __future__ import annotations

import ctypes

from pycaffe_lite._typing import Shape
from pycaffe_lite.engines.onednn._passes import PASSING, Following, Passes
from pycaffe_lite.layers.lrn import LRN
from pycaffe_lite.registry import register_layer
from pycaffe_lite.storage import Order

ACROSS_CHANNELS = 2815


@register_layer("LRN", engine="onednn")
class OneDnnLRN(Following, LRN):
    """LRN across channels of float32 blobs, for sizes that oneDNN has a fast implementation of; otherwise numpy's."""

    _backward_reads_x = True
    passing_scratch = LRN.passing_scratch | PASSING

    def _make(self, order: Order, x: Shape, y: Shape) -> Passes | None:
        p = self._message.lrn_param
        if self._axes != (1,):
            return None
        numbers = ctypes.c_int64(p.local_size), *map(ctypes.c_float, (p.alpha, p.beta, p.k))
        need = self._need_backward
        return Passes.make("lrn", order, x, y, numbers, ACROSS_CHANNELS, need_backward=need, reads_x=True)
