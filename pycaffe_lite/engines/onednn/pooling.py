"""MAX and AVE pooling, where oneDNN's windows are Caffe's.

A window that hangs over the far edge is padding there for oneDNN. That makes no difference to maxima. Means it takes
over all of the window or over what lies in the image; Caffe's area is cut at the end of the far padding, which is the
one where no window hangs over that, the other where there is no padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pycaffe_lite._typing import Shape
from pycaffe_lite.done import BY_LAYER, Done
from pycaffe_lite.engines.onednn._arrays import (
    FLOAT,
    Adaptive,
    channels_innermost,
    is_fast,
    layout,
    overhang,
    takes,
)
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._line import InLine
from pycaffe_lite.engines.onednn._parts import channels
from pycaffe_lite.engines.onednn._passes import PASSING, Following, Passes
from pycaffe_lite.engines.onednn._primitive import (
    DST,
    FORWARD_INFERENCE,
    SRC,
    Description,
    Layout,
    any_layout,
    dims,
    operands,
    reorder,
)
from pycaffe_lite.engines.onednn._tail import Tail
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.layers._geometry import PoolGeometry
from pycaffe_lite.layers.pooling import Pooling
from pycaffe_lite.order import Order
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

MAX, WITH_PADDING, WITHOUT_PADDING = 511, 767, 1023
MOST_PLACES = 1 << 14
"""Of a window whose mean is oneDNN's. It adds them up one by one: of a million numbers 0.1 the mean is off by 1e-2 of
itself, of so many by 2e-4.
"""


def algorithm(pool: int, geometry: PoolGeometry, x: Shape, y: Shape) -> int | None:
    """oneDNN's name for such a pooling, None where it has none."""
    behind = overhang(geometry.kernel, geometry.stride, geometry.pad, x, y)
    if any(b >= k for b, k in zip(behind, geometry.kernel, strict=True)):
        return None  # a last window that sees nothing
    if pool == pb.PoolingParameter.MAX:
        return MAX
    if pool != pb.PoolingParameter.AVE or math.prod(geometry.kernel) > MOST_PLACES:
        return None
    if geometry.after is not None or not any(geometry.pad):
        return WITHOUT_PADDING
    return WITH_PADDING if all(b <= p for b, p in zip(behind, geometry.pad, strict=True)) else None


@register_layer("Pooling", engine="onednn")
class OneDnnPooling(Following, InLine, Pooling):
    """Pooling of float32 blobs that lie in plain order or with the channels innermost; otherwise numpy's."""

    passing_scratch = Pooling.passing_scratch | PASSING | {"y of a part"}
    _primitives: Passes | None = None
    _made_of_parts: dict[tuple[Shape, Shape], Passes | None]

    def forward_with(self, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> Done | None:
        self._primitives = self._choose(bottom, top)
        return super().forward_with(followers, bottom, top)

    def absorbs_parts(self) -> bool:
        return True

    def forward_parts(self, followers: Sequence[Layer], parts: Blobs, top: Blobs) -> Done | None:
        shape = top[0].shape
        if followers or len(shape) != 4 or not takes([*parts, *top]) or 2 * top[0].count > sum(x.count for x in parts):
            return None
        results = [(shape[0], part.shape[1], *shape[2:]) for part in parts]
        made = [self._of_parts(part.shape, result) for part, result in zip(parts, results, strict=True)]
        y = top[0].open("data", Order.CHANNELS_INNERMOST)
        if None in made or layout(y) is not channels_innermost(shape):
            return None
        for part, result, passes, here in zip(parts, results, made, channels(results), strict=True):
            assert passes is not None
            place, laid = y[:, here], self._scratch("y of a part", passes.order.shape(result), FLOAT)
            pooled = passes.order.plain(laid).reshape(result)
            passes.forward.adapted(self._scratch, part.stored("data"), pooled)
            reorder(layout(pooled), layout(place))(pooled, place)
        return BY_LAYER

    def suits_line(self, x: Shape, y: Shape) -> bool:
        return self.blobs.dtype == FLOAT and algorithm(self._pool, self._geometry, x, y) is not None

    def run_in_line(self, lies: Layout | None, x: Shape, y: Shape, tail: Tail) -> Adaptive | None:
        kind, ops = algorithm(self._pool, self._geometry, x, y), tail.post_ops(y)
        if lies is None or kind is None:
            return None
        arguments = library().engine, FORWARD_INFERENCE, kind, lies.handle, any_layout(y, DST), *self._windows(x, y)
        made = Description.make("pooling_forward", *arguments, post_ops=ops)
        if made is None or not is_fast(made):
            return None
        return Adaptive(made, {SRC: lies, DST: made.layout(DST), **operands(ops)})

    def _of_parts(self, x: Shape, y: Shape) -> Passes | None:
        """As `_make`, for parts of a bottom, which nobody runs backward."""
        if (x, y) not in self._made_of_parts:
            made = None if self._need_backward else self._make(Order.CHANNELS_INNERMOST, x, y)
            self._made_of_parts[x, y] = made
        return self._made_of_parts[x, y]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        self._made_of_parts = {}

    def _make(self, order: Order, x: Shape, y: Shape) -> Passes | None:
        kind = algorithm(self._pool, self._geometry, x, y)
        if kind is None:
            return None
        need, windows = self._need_backward, self._windows(x, y)
        return Passes.make("pooling", order, x, y, windows, kind, need_backward=need, reads_x=False)

    def _windows(self, x: Shape, y: Shape) -> list[Any]:
        g = self._geometry
        return [dims(v) for v in (g.stride, g.kernel, (0, 0), g.pad, overhang(g.kernel, g.stride, g.pad, x, y))]
