"""BatchNorm and the Scale behind it, as one normalization in each direction, while they learn; with ReLU.

Forward then leaves x where BatchNorm alone leaves the normalized x̂, which is what backward passes of the layers alone
read: they have `normalize` make it. Backward in one pass takes either. Of x̂, whose mean is 0 and whose variance 1, the
gradient is that of x once the scale is divided by √(v + eps).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn._arrays import FLOAT, open_target, read
from pycaffe_lite.engines.onednn._let_through import MASK, LetThrough
from pycaffe_lite.engines.onednn._normalization import (
    GIVEN_STATISTICS,
    RELU,
    SCALE,
    SHIFT,
    Normalization,
    Normalizing,
    standard,
)
from pycaffe_lite.engines.onednn._parameters import Gradients
from pycaffe_lite.engines.onednn._primitive import plain_layout
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.layers.batch_norm import BatchNorm
from pycaffe_lite.layers.relu import ReLU
from pycaffe_lite.layers.scale import Scale
from pycaffe_lite.order import Order, order_of
from pycaffe_lite.proto import caffe_pb2 as pb


class LearningScale(Scale):
    """To be mixed into Scale. Before it reads its bottom, it has it normalized."""

    _norm: LearningNorm | None = None
    """The layer in whose pass it has run."""

    def _normalize(self, x: Blob) -> None:
        if self._norm is not None:
            self._norm._normalize(x)


class LearningNorm(Normalizing, BatchNorm):
    """To be mixed into BatchNorm. Before it reads its top, or its bottom, it has it normalized."""

    _holds_x: int | None = None
    """The state (Blob.written) in which the memory that it runs in place on holds x and not x̂."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        self._let_through = LetThrough()

    def absorbs_through(self, followers: Sequence[Layer]) -> int:
        scale, *others = followers
        if not isinstance(scale, LearningScale) or self.blobs.dtype != FLOAT or self.phase != pb.TRAIN:
            return 0
        if not (scale.is_affine() and len(scale.blobs) == 2):
            return 0
        return 1 + (bool(others) and isinstance(others[0], ReLU) and others[0]._message.relu_param.negative_slope == 0)

    def forward_through(self, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> None:
        self._normalize(bottom[0])
        x, now, known = bottom[0].stored("data"), bottom[0].written("data"), GIVEN_STATISTICS * self._global()
        epsilon = self._message.batch_norm_param.eps
        passes = self._normalization(x, epsilon, known | SCALE | SHIFT)
        if passes is None or now is None:
            super().forward_through(followers, bottom, top)
            return
        scale, *others = followers
        assert isinstance(scale, LearningScale)
        scale._norm, self._holds_x = self, now
        y = open_target(top[0], "data", Order.CHANNELS_INNERMOST, passes.lies, self._scratch)
        mean, variance = self._statistics_now(x)
        numbers = mean, variance, *(blob.stored("data") for blob in scale.blobs)
        with_relu = bool(others) and not known and self._with_relu(passes, x, numbers, y.memory)
        if not with_relu:
            passes.forward(x, *numbers, y.memory)
        y.done()
        if not known:
            self._remember(mean, variance)
        np.sqrt(variance + epsilon, out=self._deviation(x))
        if with_relu:
            self._let_through.remember(top[0])
        for other in others[with_relu:]:
            other.forward(top, top)

    def _with_relu(self, passes: Normalization, x: Array, numbers: Sequence[Array], y: Array) -> bool:
        """Whether ReLU runs in the normalization as well, and has. Not where there is a NaN, which it makes 0: with
        the batch's own statistics a NaN shows in these.
        """
        made = self._normalization(x, self._message.batch_norm_param.eps, SCALE | SHIFT | RELU)
        mask = self._normalization(x, 0.0, MASK)
        if made is None or mask is None or made.workspace != mask.workspace:
            return False
        if not made.implementation == mask.implementation == passes.implementation:
            return False
        made.forward(x, *numbers, y, self._let_through.memory(mask, self._scratch))
        return all(np.isfinite(array).all() for array in numbers)

    def backward_through(self, followers: Sequence[Layer], top: Blobs, bottom: Blobs) -> None:
        scale, *others = followers
        assert isinstance(scale, LearningScale)
        normalized, known = not self._is_x(bottom[0]), self._global()
        epsilon = 0.0 if normalized else self._message.batch_norm_param.eps
        dy, passes = top[0].stored("diff"), None
        notes = self._let_through.notes(top[0]) if others else []
        if notes:
            passes = self._normalization(dy, epsilon, SCALE | SHIFT | RELU)
        if passes is None:
            notes = []
            _backward(others, top)
            dy = top[0].stored("diff")
            passes = self._normalization(dy, epsilon, GIVEN_STATISTICS * known | SCALE | SHIFT)
        if passes is None:
            super().backward_through([scale], top, bottom)
            return
        x, c = read(bottom[0].stored("data"), passes.lies, self._scratch, "x"), dy.shape[1]
        factor = scale.blobs[0].stored("data")
        statistics: Any = standard(c)
        if normalized:
            factor = factor / self._deviation(dy)
        else:
            statistics = self._now(dy)
        dx = open_target(bottom[0], "diff", Order.CHANNELS_INNERMOST, passes.lies, self._scratch)
        channels = plain_layout((c,))
        gradients = Gradients(scale, channels, channels, scale._scratch)
        passes.backward(dx.memory, dy, x, *statistics, factor, *gradients.memory, *notes)
        gradients.add()
        dx.done()
        if notes and not self._let_through.leave_to_mask(top[0]):
            _backward(others, top)

    def _statistics_now(self, x: Array) -> Array:
        """Mean and variance for a forward pass: a copy of the blobs', or memory for those of the batch."""
        now = self._now(x)
        if self._global():
            now[:] = self._statistics()
        return now

    def _now(self, x: Array) -> Array:
        """Those of the last forward pass of oneDNN's."""
        return self._scratch("now", (2, x.shape[1]), FLOAT)

    def _is_x(self, blob: Blob) -> bool:
        return self._holds_x is not None and blob.written("data") == self._holds_x

    def _normalize(self, blob: Blob) -> None:
        """Let the memory that it runs in place on hold x̂, as after its forward pass alone, if it holds x since then."""
        if self._is_x(blob):
            x = blob.stored("data")
            each = (1, -1, *[1] * (x.ndim - 2))
            y = np.subtract(x, self._now(x)[0].reshape(each), out=blob.open("data", order_of(x)))
            y /= self._deviation(x).reshape(each)
        self._holds_x = None


def _backward(layers: Sequence[Layer], blobs: Blobs) -> None:
    """In place on the same blob."""
    for layer in reversed(layers):
        layer.backward(blobs, [True], blobs)
