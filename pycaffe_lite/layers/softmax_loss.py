"""SoftmaxWithLoss: softmax, then the mean negative log of the label's probability.

loss = -Σ w[label] log p[label] / normalizer        dx = w[label] (p - onehot(label)) · weight / normalizer

w are loss_param.class_weight, 1 where there are none. Both passes are SoftmaxLossLayer's, in _classification.py; here
are the loss of one place and its gradient. p counts as at least 1.2e-38 in the loss, as in Caffe: no place costs more
than 87.3. The normalizer is _loss.normalizer, but see the class for class_weight; `weight` is the top's loss_weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.constraints import at_least
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._classification import SoftmaxLossLayer
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

_TINY = np.finfo(np.float32).tiny


@register_layer("SoftmaxWithLoss")
class SoftmaxWithLoss(SoftmaxLossLayer):
    """Multinomial logistic loss of logits, bottom 0 of shape (..., C at softmax_param.axis, ...), against integer
    labels, bottom 1, one for each place. Top 0: the loss, (); top 1, if wanted: the probabilities, bottom 0's shape.

    class_weight, a field of ours, is C numbers of 0 and more. With normalization VALID the loss is then divided by the
    sum of the weights of the labels that count (by 1 if that is 0), as in PyTorch's CrossEntropyLoss: a weighted mean.
    The other normalizations divide by what they do without weights.

    Raises ParameterError for another number of weights, ShapeError for another number of labels, DataError for a label
    that is no class.

    Differences from Caffe: labels are checked, Caffe reads out of bounds.
    """

    constraints = {"loss_param.class_weight": at_least(0)}

    def _axis(self) -> tuple[int, str]:
        return self._message.softmax_param.axis, "softmax_param.axis"

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        tops = super().infer_shapes(bottom_shapes)
        given, classes = len(self._message.loss_param.class_weight), bottom_shapes[0][self._axis()[0]]
        if given not in (0, classes):
            raise ParameterError(
                f"class_weight is given {given} times for {classes} classes",
                field="loss_param.class_weight[0]",
                hint="Give it once for each class.",
            )
        return tops

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        self._class_weight = np.array(self._message.loss_param.class_weight, bottom[0].dtype)
        outer, classes, inner = self._view
        self._first = np.arange(outer)[:, None] * classes * inner + np.arange(inner)
        """Where the numbers of class 0 lie, (outer, inner); those of the others follow `inner` places apart."""

    def _divisor(self, labels: Array, valid: Array | None) -> float:
        if not self._class_weight.size or self._mode != pb.LossParameter.VALID:
            return super()._divisor(labels, valid)
        counted = labels if valid is None else labels[valid]
        return float(self._class_weight[counted].sum()) or 1.0

    def _losses(self, p: Array, labels: Array, bottom: Blobs) -> Array:
        losses = np.maximum(p.take(self._places(labels)), _TINY)
        np.negative(np.log(losses, out=losses), out=losses)
        if self._class_weight.size:
            losses *= self._class_weight[labels]
        return losses

    def _gradient(self, p: Array, labels: Array, bottom: Blobs, dx: Array) -> None:
        dx[...] = p
        dx.reshape(-1)[self._places(labels)] -= 1
        if self._class_weight.size:
            dx *= self._class_weight[labels][:, None, :]

    def _places(self, labels: Array) -> Array:
        """Where the numbers of the labels' classes lie, (outer, inner)."""
        inner = self._view[2]
        places: Array = self._first + (labels if inner == 1 else labels * inner)
        return places
