"""LRN across channels."""

from __future__ import annotations

import ctypes

from pycaffe_lite._typing import Shape
from pycaffe_lite.engines.onednn._passes import PASSING, Following, Passes
from pycaffe_lite.layers.lrn import LRN
from pycaffe_lite.order import Order
from pycaffe_lite.registry import register_layer

ACROSS_CHANNELS = 2815


@register_layer("LRN", engine="onednn")
class OneDnnLRN(Following, LRN):
    """LRN across channels of float32 blobs, for sizes that oneDNN has a fast implementation of; otherwise numpy's."""

    _backward_reads_x = True
    passing_scratch = LRN.passing_scratch | PASSING

    def _make(self, order: Order, x: Shape, y: Shape) -> Passes | None:
        p = self._message.lrn_param
        if self._axes != (1,) or not _is_sound(p.local_size, x[1], self._need_backward):
            return None
        if order is Order.PLAIN and not self._need_backward:  # a running sum: what was large stays in it, rounded
            return None
        numbers = ctypes.c_int64(p.local_size), *map(ctypes.c_float, (p.alpha, p.beta, p.k))
        need = self._need_backward
        return Passes.make("lrn", order, x, y, numbers, ACROSS_CHANNELS, need_backward=need, reads_x=True)


def _is_sound(size: int, channels: int, need_backward: bool) -> bool:
    """Whether oneDNN computes it: version 3.2 ends the process where a backward pass of size 1 is made, and gives wrong
    gradients for sizes above 5 of channels that are no multiple of 16.
    """
    return not need_backward or size in (3, 5) or (size > 5 and channels % 16 == 0)
