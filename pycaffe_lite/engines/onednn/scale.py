"""Scale of images by a number for each channel: a normalization where mean and variance are given, 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import open_target, read
from pycaffe_lite.engines.onednn._binary import AffineHead
from pycaffe_lite.engines.onednn._learning_norm import LearningScale
from pycaffe_lite.engines.onednn._normalization import (
    GIVEN_STATISTICS,
    SCALE,
    SHIFT,
    Normalization,
    Normalizing,
    standard,
)
from pycaffe_lite.engines.onednn._parameters import Gradients
from pycaffe_lite.engines.onednn._primitive import plain_layout
from pycaffe_lite.layer import Blobs
from pycaffe_lite.order import Order
from pycaffe_lite.registry import register_layer


@register_layer("Scale", engine="onednn")
class OneDnnScale(AffineHead, Normalizing, LearningScale):
    """Scale by learnable numbers for the channels of float32 images with these innermost; otherwise numpy's."""

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        channels_alone = self._others == (0, *range(2, len(bottom[0].shape)))
        return super().falls_back(bottom, top) or len(bottom) > 1 or not channels_alone

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        self._normalize(bottom[0])
        x = bottom[0].stored("data")
        if (passes := self._passes(x)) is None:
            super().forward_cpu(bottom, top)
            return
        y = open_target(top[0], "data", Order.CHANNELS_INNERMOST, passes.lies, self._scratch)
        passes.forward(x, *standard(self.blobs[0].count), *(blob.stored("data") for blob in self.blobs), y.memory)
        y.done()

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        self._normalize(bottom[0])
        dy = top[0].stored("diff")
        if (passes := self._passes(dy)) is None:
            super().backward_cpu(top, propagate_down, bottom)
            return
        x = read(bottom[0].stored("data"), passes.lies, self._scratch, "x")
        channels = plain_layout(self.blobs[0].shape)
        gradients = Gradients(self, channels, channels, self._scratch)
        if propagate_down[0]:
            dx = open_target(bottom[0], "diff", Order.CHANNELS_INNERMOST, passes.lies, self._scratch)
            memory = dx.memory
        else:
            memory = self._scratch_like(dy, "dx")
        passes.backward(memory, dy, x, *standard(self.blobs[0].count), self.blobs[0].stored("data"), *gradients.memory)
        gradients.add()
        if propagate_down[0]:
            dx.done()

    def _passes(self, images: Array) -> Normalization | None:
        if len(self.blobs) != 1 + self._bias or self._others != (0, 2, 3):
            return None
        return self._normalization(images, 0.0, GIVEN_STATISTICS | SCALE | SHIFT * self._bias)
