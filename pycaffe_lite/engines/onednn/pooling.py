"""MAX and AVE pooling, where oneDNN's windows are Caffe's.

A window that hangs over the far edge is padding there for oneDNN. That makes no difference to maxima. Means it takes
over all of the window or over what lies in the image; Caffe's area is cut at the end of the far padding, which is the
one where no window hangs over that, the other where there is no padding.
"""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.engines.onednn._arrays import overhang
from pycaffe_lite.engines.onednn._passes import PASSING, Following, Passes
from pycaffe_lite.engines.onednn._primitive import dims
from pycaffe_lite.engines.onednn._tail import WithTail
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.layers._geometry import PoolGeometry
from pycaffe_lite.layers.pooling import Pooling
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.storage import Order

MAX, WITH_PADDING, WITHOUT_PADDING = 511, 767, 1023


def algorithm(pool: int, geometry: PoolGeometry, x: Shape, y: Shape) -> int | None:
    """oneDNN's name for such a pooling, None where it has none."""
    behind = overhang(geometry.kernel, geometry.stride, geometry.pad, x, y)
    if any(b >= k for b, k in zip(behind, geometry.kernel, strict=True)):
        return None  # a last window that sees nothing
    if pool == pb.PoolingParameter.MAX:
        return MAX
    if pool != pb.PoolingParameter.AVE:
        return None
    if geometry.after is not None or not any(geometry.pad):
        return WITHOUT_PADDING
    return WITH_PADDING if all(b <= p for b, p in zip(behind, geometry.pad, strict=True)) else None


@register_layer("Pooling", engine="onednn")
class OneDnnPooling(Following, WithTail, Pooling):
    """Pooling of float32 blobs that lie in plain order or with the channels innermost; otherwise numpy's."""

    passing_scratch = Pooling.passing_scratch | PASSING
    _primitives: Passes | None = None

    def forward_with(self, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> None:
        self._primitives = self._choose(bottom, top)
        super().forward_with(followers, bottom, top)

    def _make(self, order: Order, x: Shape, y: Shape) -> Passes | None:
        g = self._geometry
        kind = algorithm(self._pool, g, x, y)
        if kind is None:
            return None
        windows = [dims(v) for v in (g.stride, g.kernel, (0, 0), g.pad, overhang(g.kernel, g.stride, g.pad, x, y))]
        need = self._need_backward
        return Passes.make("pooling", order, x, y, windows, kind, need_backward=need, reads_x=False)
