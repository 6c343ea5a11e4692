"""MultinomialLogisticLoss: the mean negative log of the label's probability, p = max(x[label], 1e-20).

loss = -Σ log p / N        dx[label] = -weight / (N p), 0 elsewhere
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs, no_gradient_to
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._item_labels import ItemLabelLoss
from pycaffe_lite.registry import register_layer

_LEAST = 1e-20


@register_layer("MultinomialLogisticLoss")
class MultinomialLogisticLoss(ItemLabelLoss):
    """Probabilities, bottom 0 of shape (N, ...), against integer labels, bottom 1, one for each item. Top: ().

    After a Softmax, SoftmaxWithLoss is the more stable form of both.

    Differences from Caffe: labels are checked, Caffe reads out of bounds.
    """

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        p = self._picked(bottom, self.labels(bottom))
        top[0].data[...] = -np.log(p).sum() / self.items(bottom)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(1, propagate_down, "the labels")
        if not propagate_down[0]:
            return
        labels = self.labels(bottom)
        dx = self.per_item(bottom[0].diff)
        dx[...] = 0
        dx[np.arange(len(dx)), labels] = -_loss.weight_of(top) / self.items(bottom) / self._picked(bottom, labels)

    def _picked(self, bottom: Blobs, labels: Array) -> Array:
        """Each item's probability of its label."""
        x = self.per_item(bottom[0].data)
        return np.maximum(x[np.arange(len(x)), labels], _LEAST)
