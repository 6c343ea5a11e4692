"""HingeLoss, one class against all others: m_k = max(0, 1 - t_k x_k), t_k = 1 for the item's label and -1 otherwise.

L1  loss = Σ m / N         dx_k = -t_k [m_k > 0] · weight / N
L2  loss = Σ m² / N        dx_k = -2 t_k m_k · weight / N
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs, no_gradient_to
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._item_labels import ItemLabelLoss
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer


@register_layer("HingeLoss")
class HingeLoss(ItemLabelLoss):
    """Scores, bottom 0 of shape (N, ...), against integer labels, bottom 1, one for each item. Top: ().

    Differences from Caffe: labels are checked, Caffe reads out of bounds.
    """

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._squared = self._message.hinge_loss_param.norm == pb.HingeLossParameter.L2

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = self.per_item(bottom[0].data)
        margin = self._margins(x, self.labels(bottom), out=self._scratch("margin", x.shape, x.dtype))
        top[0].data[...] = (np.vdot(margin, margin) if self._squared else margin.sum()) / self.items(bottom)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(1, propagate_down, "the labels")
        if not propagate_down[0]:
            return
        labels = self.labels(bottom)
        dx = self._margins(self.per_item(bottom[0].data), labels, out=self.per_item(bottom[0].diff))
        if self._squared:
            dx *= 2
        else:
            np.sign(dx, out=dx)
        dx[np.arange(len(dx)), labels] *= -1
        dx *= _loss.weight_of(top) / self.items(bottom)

    def _margins(self, x: Array, labels: Array, out: Array) -> Array:
        np.copyto(out, x)
        out[np.arange(len(x)), labels] *= -1
        out += 1
        return np.maximum(out, 0, out=out)
