"""MAX and AVE pooling, where oneDNN's windows are Caffe's.

A window that hangs over the far edge is padding there for oneDNN. That makes no difference to maxima. Means it takes
over all of the window or over what lies in the image; Caffe's area is cut at the end of the far padding, which is the
one where no window hangs over that, the other where there is no padding.
"""

from __future__ import annotations

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
    dims,
    plain_layout,
)
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._geometry import PoolGeometry
from pycaffe_lite.layers.pooling import Pooling
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.storage import Order

FORWARD_TRAINING = 64
MAX, WITH_PADDING, WITHOUT_PADDING = 511, 767, 1023


class PoolingPrimitives:
    """Both passes for bottoms (N, C, H, W) and tops (N, C, H', W') that lie in one order."""

    def __init__(self, kind: int, x: Layout, y: Layout, geometry: PoolGeometry) -> None:
        self.x, self.y, engine = x, y, library().engine
        windows = (
            dims(geometry.stride),
            dims(geometry.kernel),
            dims((0, 0)),
            dims(geometry.pad),
            dims(overhang(geometry, x.shape, y.shape)),
        )
        forward = Description.make("pooling_forward", engine, FORWARD_TRAINING, kind, x.handle, y.handle, *windows)
        backward = forward and Description.make(
            "pooling_backward", engine, kind, x.handle, y.handle, *windows, forward.handle
        )
        self.exist = forward is not None and backward is not None and is_fast(forward) and is_fast(backward)
        if forward is not None and backward is not None:
            self.workspace = forward.layout(WORKSPACE).nbytes if kind == MAX else 0
            kept = {WORKSPACE: forward.layout(WORKSPACE)} if self.workspace else {}
            self.forward = Primitive(forward, {SRC: x, DST: y, **kept})
            self.backward = Primitive(backward, {DIFF_SRC: x, DIFF_DST: y, **kept})


def overhang(geometry: PoolGeometry, x: Shape, y: Shape) -> list[int]:
    """How far behind the bottom the last window ends, along each spatial axis."""
    by_axis = zip(y[2:], geometry.stride, geometry.kernel, x[2:], geometry.pad, strict=True)
    return [(o - 1) * s + k - n - p for o, s, k, n, p in by_axis]


def kind_of(pool: int, geometry: PoolGeometry, x: Shape, y: Shape) -> int | None:
    """oneDNN's name for such a pooling, None where it has none."""
    behind = overhang(geometry, x, y)
    if any(b < 0 or b >= k for b, k in zip(behind, geometry.kernel, strict=True)):
        return None  # a last window that sees nothing, or a rest that no window sees
    if pool == pb.PoolingParameter.MAX:
        return MAX
    if pool != pb.PoolingParameter.AVE:
        return None
    if geometry.after is not None or not any(geometry.pad):
        return WITHOUT_PADDING
    return WITH_PADDING if all(b <= p for b, p in zip(behind, geometry.pad, strict=True)) else None


@register_layer("Pooling", engine="onednn")
class OneDnnPooling(Pooling):
    """Pooling of float32 blobs that lie in plain order or with the channels innermost; otherwise numpy's."""

    _kind: int | None = None
    _made: dict[Order, PoolingPrimitives]
    _made_for: tuple[Shape, PoolGeometry] | None = None
    _primitives: PoolingPrimitives | None = None

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        shapes = bottom[0].shape, top[0].shape
        if (shapes[0], self._geometry) == self._made_for:
            return
        self._made_for, self._made, self._kind = (shapes[0], self._geometry), {}, None
        if len(top) == 1 and takes([*bottom, *top]):
            self._kind = kind_of(self._pool, self._geometry, *shapes)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].stored("data")
        order = order_of(x)
        self._primitives = self._choose(order, bottom[0].shape, top[0].shape)
        if self._primitives is None:
            super().forward_cpu(bottom, top)
            return
        source = read(x, self._primitives.x, self._scratch, "x")
        target = Target(top[0].open("data", order), self._primitives.y, self._scratch, "y")
        self._primitives.forward(source, target.memory, *self._workspace())
        target.done()

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if (primitives := self._primitives) is None:
            super().backward_cpu(top, propagate_down, bottom)
        elif propagate_down[0]:
            dy = read(top[0].stored("diff"), primitives.y, self._scratch, "y")
            order = Order.PLAIN if primitives.x.is_plain else Order.CHANNELS_INNERMOST
            target = Target(bottom[0].open("diff", order), primitives.x, self._scratch, "x")
            primitives.backward(target.memory, dy, *self._workspace())
            target.done()

    def _workspace(self) -> list[Any]:
        assert self._primitives is not None
        nbytes = self._primitives.workspace
        return [self._scratch("workspace", (nbytes,), np.uint8)] if nbytes else []

    def _choose(self, order: Order, x: Shape, y: Shape) -> PoolingPrimitives | None:
        if self._kind is None or order is Order.BATCH_INNERMOST:
            return None
        if order not in self._made:
            lies = plain_layout if order is Order.PLAIN else channels_innermost
            self._made[order] = PoolingPrimitives(self._kind, lies(x), lies(y), self._geometry)
        made = self._made[order]
        return made if made.exist else None
