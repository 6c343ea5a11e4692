"""SoftmaxWithLoss: softmax, then the mean negative log of the label's probability.

loss = -Σ log p[label] / normalizer        dx = (p - onehot(label)) · weight / normalizer
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, canonical_axis, from_to
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._loss import LossLayer
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer


@register_layer("SoftmaxWithLoss")
class SoftmaxWithLoss(LossLayer):
    """Multinomial logistic loss of logits, bottom 0 of shape (..., C at softmax_param.axis, ...), against integer
    labels, bottom 1, one for each place. Top 0: the loss, (); top 1, if wanted: the probabilities, bottom 0's shape.

    Raises ShapeError for another number of labels, DataError for a label that is no class.

    Differences from Caffe: labels are checked, Caffe reads out of bounds.
    """

    tops = from_to(1, 2)

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        x, labels = bottom_shapes
        axis = canonical_axis(self._message.softmax_param.axis, x, "softmax_param.axis")
        places = math.prod(x[:axis] + x[axis + 1 :])
        if math.prod(labels) != places:
            raise ShapeError(
                f"The labels have shape {labels}, predictions of shape {x} need {places} of them",
                hint=f"One label for each place, the classes being axis {axis}.",
            )
        both: list[Shape | None] = [(), x]
        return both[: max(1, len(self._message.top))]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.loss_param
        self._ignore = _loss.ignore_label(p)
        self._mode = _loss.normalization_mode(p, pb.LossParameter.VALID)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        shape = bottom[0].shape
        axis = canonical_axis(self._message.softmax_param.axis, shape)
        self._view = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])  # outer, classes, inner

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        outer, classes, inner = self._view
        labels, valid = _loss.read_labels(bottom[1].data, classes, (outer, inner), self._ignore)
        prob = self._prob(bottom)
        _loss.softmax(bottom[0].data.reshape(self._view), 1, out=prob)
        picked = prob[np.arange(outer)[:, None], labels, np.arange(inner)]
        loss = -np.log(np.maximum(picked, np.finfo(np.float32).tiny))
        if valid is not None:
            loss *= valid
        count = outer * inner if valid is None else int(valid.sum())
        self._normalizer = _loss.normalizer(self._mode, outer, outer * inner, count)
        top[0].data[...] = loss.sum() / self._normalizer
        if len(top) == 2:
            top[1].data[...] = prob.reshape(top[1].shape)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        self.no_gradient_to(1, propagate_down, "labels")
        if not propagate_down[0]:
            return
        outer, classes, inner = self._view
        labels, valid = _loss.read_labels(bottom[1].data, classes, (outer, inner), self._ignore)
        dx = bottom[0].diff.reshape(self._view)
        dx[...] = self._prob(bottom)
        dx[np.arange(outer)[:, None], labels, np.arange(inner)] -= 1
        if valid is not None:
            dx *= valid[:, None, :]
        dx *= _loss.weight_of(top) / self._normalizer

    def _prob(self, bottom: Blobs) -> Array:
        return self._scratch("prob", self._view, bottom[0].dtype)
