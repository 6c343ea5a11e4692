"""SoftmaxWithLoss: softmax, then the mean negative log of the label's probability.

loss = -Σ log p[label] / normalizer        dx = (p - onehot(label)) · weight / normalizer
"""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._classification import SoftmaxLossLayer
from pycaffe_lite.registry import register_layer


@register_layer("SoftmaxWithLoss")
class SoftmaxWithLoss(SoftmaxLossLayer):
    """Multinomial logistic loss of logits, bottom 0 of shape (..., C at softmax_param.axis, ...), against integer
    labels, bottom 1, one for each place. Top 0: the loss, (); top 1, if wanted: the probabilities, bottom 0's shape.

    Raises ShapeError for another number of labels, DataError for a label that is no class.

    Differences from Caffe: labels are checked, Caffe reads out of bounds.
    """

    def _axis(self) -> tuple[int, str]:
        return self._message.softmax_param.axis, "softmax_param.axis"

    def _losses(self, p: Array, labels: Array, bottom: Blobs) -> Array:
        losses: Array = -np.log(np.maximum(p[_places(labels)], np.finfo(np.float32).tiny))
        return losses

    def _gradient(self, p: Array, labels: Array, bottom: Blobs, dx: Array) -> None:
        dx[...] = p
        dx[_places(labels)] -= 1


def _places(labels: Array) -> tuple[Array, Array, Array]:
    """Where in (outer, classes, inner) the labels' classes are."""
    outer, inner = labels.shape
    return np.arange(outer)[:, None], labels, np.arange(inner)
