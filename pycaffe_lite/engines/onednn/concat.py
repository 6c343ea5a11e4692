"""Concat by oneDNN's strided copies, which use all threads."""

from __future__ import annotations

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import FLOAT, layout, takes
from pycaffe_lite.engines.onednn._primitive import reorder
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.concat import Concat
from pycaffe_lite.registry import register_layer


@register_layer("Concat", engine="onednn")
class OneDnnConcat(Concat):
    """Float32 images; otherwise numpy's."""

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return len(top[0].shape) != 4 or not takes([*top])

    def _copy(self, source: Array, target: Array) -> None:
        if source.ndim == 4 and source.size and source.dtype == FLOAT:
            reorder(layout(source), layout(target))(source, target)
        else:
            super()._copy(source, target)
