"""Sums and products of two arrays in one pass over memory, with the layers that run in place behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.done import Done
from pycaffe_lite.engines.onednn._arrays import FLOAT, is_fast, layout
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    DST,
    SRC,
    SRC_1,
    Description,
    Layout,
    PostOp,
    Primitive,
    operands,
    plain_layout,
)
from pycaffe_lite.engines.onednn._tail import MULTIPLY, Tail, absorbable, is_affine
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.order import order_of


class Binary:
    """`kind` of two arrays, and the post-ops that belong to the result's shape, as a primitive."""

    def __init__(self, kind: int, post_ops: Callable[[Shape], tuple[PostOp, ...]]) -> None:
        self._kind, self._post_ops = kind, post_ops
        self._made_for: tuple[Layout, Layout] | None = None
        self._made: Primitive | None = None

    def primitive(self, x: Layout, other: Layout) -> Primitive | None:
        """To be called with x, other, y, which lies as x, and the post-ops' operands; None where none is fast."""
        if (x, other) != self._made_for:
            self._made_for, engine, ops = (x, other), library().engine, self._post_ops(x.shape)
            made = Description.make("binary", engine, self._kind, x.handle, other.handle, x.handle, post_ops=ops)
            arguments = {SRC: x, SRC_1: other, DST: x, **operands(ops)}
            self._made = Primitive(made, arguments) if made is not None and is_fast(made) else None
        return self._made


class AffineHead(Layer):
    """To be mixed into a layer that is y = x f + a for each channel, to run with those that follow in one pass."""

    _tail: Tail | None = None
    _binary: Binary | None = None

    def absorbs(self, followers: Sequence[Layer]) -> int:
        return absorbable(followers) if is_affine(self) and self.blobs.dtype == FLOAT else 0

    def forward_with(self, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> Done | None:
        if self._tail is None or self._binary is None:
            self._tail = tail = Tail([self, *followers])
            self._binary = Binary(MULTIPLY, lambda y: tail.post_ops(y)[1:])  # the first is the primitive's own
        x = bottom[0].stored("data")
        run, numbers = None, self._tail.numbers([])
        # Images of one place lie in plain order and with the channels innermost alike; for one of these oneDNN 3.2's
        # kernels are wrong.
        if numbers is not None and x.size and math.prod(x.shape[2:]) > 1:
            run = self._binary.primitive(layout(x), plain_layout((1, x.shape[1], *[1] * (x.ndim - 2))))
        if run is None or numbers is None:
            return super().forward_with(followers, bottom, top)
        y = top[0].open("data", order_of(x))
        if layout(y) is not layout(x):
            if top[0] is bottom[0]:  # what is opened need not have its numbers any more
                y[...] = x
            return super().forward_with(followers, bottom, top)
        run(x, numbers[0], y, *numbers[1:])
        return run
