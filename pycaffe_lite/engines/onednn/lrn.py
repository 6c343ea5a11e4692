"""LRN across channels."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from pycaffe_lite._typing import Shape
from pycaffe_lite.blob import order_of
from pycaffe_lite.engines.onednn._arrays import Target, channels_innermost, is_fast, read, takes
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    DIFF_DST,
    DIFF_SRC,
    DST,
    SRC,
    WORKSPACE,
    Description,
    Layout,
    Primitive,
    plain_layout,
)
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.lrn import LRN
from pycaffe_lite.registry import register_layer
from pycaffe_lite.storage import Order

FORWARD_TRAINING, ACROSS_CHANNELS = 64, 2815


class LRNPrimitives:
    """Both passes for blobs that lie so."""

    def __init__(self, lies: Layout, size: int, alpha: float, beta: float, k: float) -> None:
        self.layout, engine, x = lies, library().engine, lies.handle
        numbers = (ctypes.c_int64(size), ctypes.c_float(alpha), ctypes.c_float(beta), ctypes.c_float(k))
        forward = Description.make("lrn_forward", engine, FORWARD_TRAINING, ACROSS_CHANNELS, x, x, *numbers)
        backward = forward and Description.make(
            "lrn_backward", engine, ACROSS_CHANNELS, x, x, x, *numbers, forward.handle
        )
        self.exist = forward is not None and backward is not None and is_fast(forward) and is_fast(backward)
        if forward is not None and backward is not None:
            self.workspace = forward.layout(WORKSPACE).nbytes
            kept = {WORKSPACE: forward.layout(WORKSPACE)} if self.workspace else {}
            self.forward = Primitive(forward, {SRC: lies, DST: lies, **kept})
            self.backward = Primitive(backward, {SRC: lies, DIFF_DST: lies, DIFF_SRC: lies, **kept})


@register_layer("LRN", engine="onednn")
class OneDnnLRN(LRN):
    """LRN across channels of float32 blobs, for the sizes that oneDNN has a fast implementation of; otherwise numpy's."""

    any_order = True
    _made: dict[Order, LRNPrimitives]
    _made_for: Shape | None = None
    _primitives: LRNPrimitives | None = None

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        if bottom[0].shape != self._made_for:
            self._made_for, self._made = bottom[0].shape, {}

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].stored("data")
        order = order_of(x)
        self._primitives = self._choose(order, bottom, top)
        if self._primitives is None:
            super().forward_cpu(bottom, top)
            return
        lies = self._primitives.layout
        target = Target(top[0].open("data", order), lies, self._scratch, "y")
        self._primitives.forward(read(x, lies, self._scratch, "x"), target.memory, *self._workspace())
        target.done()

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if (primitives := self._primitives) is None:
            super().backward_cpu(top, propagate_down, bottom)
        elif propagate_down[0]:
            lies = primitives.layout
            x = read(bottom[0].stored("data"), lies, self._scratch, "x")
            dy = read(top[0].stored("diff"), lies, self._scratch, "dy")
            order = Order.PLAIN if lies.is_plain else Order.CHANNELS_INNERMOST
            target = Target(bottom[0].open("diff", order), lies, self._scratch, "dx")
            primitives.backward(x, dy, target.memory, *self._workspace())
            target.done()

    def _workspace(self) -> list[Any]:
        assert self._primitives is not None
        nbytes = self._primitives.workspace
        return [self._scratch("workspace", (nbytes,), np.uint8)] if nbytes else []

    def _choose(self, order: Order, bottom: Blobs, top: Blobs) -> LRNPrimitives | None:
        if order is Order.BATCH_INNERMOST or self._axes != (1,) or not takes([*bottom, *top]):
            return None
        if order not in self._made:
            lies = plain_layout if order is Order.PLAIN else channels_innermost
            alpha = self._message.lrn_param.alpha
            self._made[order] = LRNPrimitives(lies(bottom[0].shape), self._size, alpha, self._beta, self._k)
        made = self._made[order]
        return made if made.exist else None
