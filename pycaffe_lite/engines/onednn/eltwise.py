"""Sums of two blobs, with the ReLU that runs in place on them."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.done import Done
from pycaffe_lite.engines.onednn._arrays import FLOAT, layout
from pycaffe_lite.engines.onednn._binary import Binary
from pycaffe_lite.engines.onednn._primitive import Primitive
from pycaffe_lite.engines.onednn._tail import ADD, Tail, absorbable
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.layers.eltwise import Eltwise
from pycaffe_lite.order import order_of
from pycaffe_lite.registry import register_layer


@register_layer("Eltwise", engine="onednn")
class OneDnnEltwise(Eltwise):
    """The sum of two float32 blobs that lie alike; otherwise numpy's."""

    _tailed: Binary | None = None

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        self._is_fast = self.is_sum and len(bottom) == 2 and top[0].dtype == FLOAT
        self._alone = Binary(ADD, lambda y: ())

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return not (self._is_fast and top[0].count and top[0].shape)

    def absorbs(self, followers: Sequence[Layer]) -> int:
        return absorbable(followers, affine=False) if self._is_fast else 0

    def forward(self, bottom: Blobs, top: Blobs) -> Done | None:
        return self._add(self._alone, bottom, top) or super().forward(bottom, top)

    def forward_with(self, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> Done | None:
        if self._tailed is None:
            self._tailed = Binary(ADD, Tail(followers).post_ops)
        return self._add(self._tailed, bottom, top) or super().forward_with(followers, bottom, top)

    def _add(self, binary: Binary, bottom: Blobs, top: Blobs) -> Primitive | None:
        """What has made this sum; None where none can."""
        x, other = (blob.stored("data") for blob in bottom[:2])
        if not (self._is_fast and x.size and x.ndim) or (lies := layout(x)) is not layout(other):
            return None
        y = top[0].open("data", order_of(x))
        if layout(y) is not lies or (run := binary.primitive(lies, lies)) is None:
            return None
        run(x, other, y)
        return run
