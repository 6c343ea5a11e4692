"""Split: the sum of gradients that lie alike, with all threads."""

from __future__ import annotations

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import FLOAT, layout
from pycaffe_lite.engines.onednn._binary import Binary
from pycaffe_lite.engines.onednn._tail import ADD
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.split import Split
from pycaffe_lite.registry import register_layer


@register_layer("Split", engine="onednn")
class OneDnnSplit(Split):
    """Gradients of float32 images; otherwise numpy's."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        self._sum = Binary(ADD, lambda y: ())

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def _add(self, x: Array, other: Array, out: Array) -> None:
        if x.ndim == 4 and x.size and x.dtype == FLOAT and (lies := layout(x)) is layout(other) is layout(out):
            run = self._sum.primitive(lies, lies)
            if run is not None:
                run(x, other, out)
                return
        super()._add(x, other, out)
