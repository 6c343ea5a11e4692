"""BatchNorm of images with the channels innermost.

Backward has y and not x, which may have been overwritten: the gradient of the normalization of y, whose mean is 0 and
whose variance 1, times 1 / √(v + eps) is that of x.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.engines.onednn._arrays import FLOAT, open_target, read
from pycaffe_lite.engines.onednn._binary import AffineHead
from pycaffe_lite.engines.onednn._learning_norm import LearningNorm
from pycaffe_lite.engines.onednn._normalization import GIVEN_STATISTICS, SCALE, standard
from pycaffe_lite.layer import Blobs
from pycaffe_lite.order import Order
from pycaffe_lite.registry import register_layer


@register_layer("BatchNorm", engine="onednn")
class OneDnnBatchNorm(AffineHead, LearningNorm):
    """Batch normalization of float32 images with the channels innermost; otherwise numpy's."""

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        self._normalize(bottom[0])
        x, epsilon = bottom[0].stored("data"), self._message.batch_norm_param.eps
        known = GIVEN_STATISTICS if self._global() else 0
        if (passes := self._normalization(x, epsilon, known)) is None:
            super().forward_cpu(bottom, top)
            return
        y = open_target(top[0], "data", Order.CHANNELS_INNERMOST, passes.lies, self._scratch)
        mean, variance = self._statistics_now(x)
        passes.forward(x, mean, variance, y.memory)
        y.done()
        if not known:
            self._remember(mean, variance)
        np.sqrt(variance + epsilon, out=self._deviation(x))

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        self._normalize(top[0])
        dy, c = top[0].stored("diff"), self.blobs[0].count
        passes = self._normalization(dy, 0.0, GIVEN_STATISTICS if self._global() else SCALE)
        if passes is None or not propagate_down[0]:
            super().backward_cpu(top, propagate_down, bottom)
            return
        dx = open_target(bottom[0], "diff", Order.CHANNELS_INNERMOST, passes.lies, self._scratch)
        mean, variance = standard(c)
        if self._global():
            passes.backward(dx.memory, dy, dy, mean, self._divisor(dy) ** 2)
        else:
            y = read(top[0].stored("data"), passes.lies, self._scratch, "y")
            factor, unused = 1 / self._deviation(dy), self._scratch("unused", (c,), FLOAT)
            passes.backward(dx.memory, dy, y, mean, variance, factor, unused)
        dx.done()
