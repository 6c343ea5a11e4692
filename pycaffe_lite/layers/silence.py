"""Silence: reads blobs so that they are no outputs of the net; their gradient is zero."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.layer import Blobs, Layer, at_least, exactly
from pycaffe_lite.registry import register_layer


@register_layer("Silence")
class Silence(Layer):
    """No tops."""

    bottoms = at_least(1)
    tops = exactly(0)

    def backward_reads_bottom_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return []

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        """Nothing to compute."""

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        for blob, down in zip(bottom, propagate_down, strict=True):
            if down:
                blob.diff[...] = 0
