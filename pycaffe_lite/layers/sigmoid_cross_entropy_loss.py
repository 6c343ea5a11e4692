"""SigmoidCrossEntropyLoss: logits x against probabilities t.

    loss = -Σ (t log σ(x) + (1 - t) log(1 - σ(x))) / normalizer        dx = (σ(x) - t) · weight / normalizer

computed as x (t - [x ≥ 0]) - log(1 + e^-|x|), which never overflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, no_gradient_to
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._loss import NO_CLASS_WEIGHT, LossLayer
from pycaffe_lite.layers._neuron import sigmoid
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer


@register_layer("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(LossLayer):
    """Cross entropy of independent probabilities; bottoms of equal count. Divided by the batch size unless
    loss_param.normalization says otherwise (SoftmaxWithLoss's default is VALID). Top: ().
    """

    constraints = NO_CLASS_WEIGHT
    _normalizer = 1.0
    """What the last forward pass divided by."""

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        x, target = bottom_shapes
        if math.prod(x) != math.prod(target):
            raise ShapeError(f"The bottoms have shapes {x} and {target}", hint="They must have as many numbers.")
        return super().infer_shapes(bottom_shapes)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.loss_param
        self._ignore = _loss.ignore_label(p)
        self._mode = _loss.normalization_mode(p, pb.LossParameter.BATCH_SIZE)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x, t = bottom[0].data, bottom[1].data.reshape(bottom[0].shape)
        loss = np.log1p(np.exp(-np.abs(x))) - x * (t - (x >= 0))
        valid = self._valid(t)
        if valid is not None:
            loss[~valid] = 0
        count = x.size if valid is None else int(valid.sum())
        self._normalizer = _loss.normalizer(self._mode, self.items(bottom), x.size, count)
        top[0].data[...] = loss.sum(dtype=np.float64) / self._normalizer

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(1, propagate_down, "the targets")
        if not propagate_down[0]:
            return
        x, t = bottom[0].data, bottom[1].data.reshape(bottom[0].shape)
        dx = bottom[0].diff
        sigmoid(x, out=dx)
        dx -= t
        valid = self._valid(t)
        if valid is not None:
            dx[~valid] = 0
        dx *= _loss.weight_of(top) / self._normalizer

    def _valid(self, target: Array) -> Array | None:
        return None if self._ignore is None else np.trunc(target) != self._ignore
