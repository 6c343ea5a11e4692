"""InfogainLoss: SoftmaxWithLoss, with every class weighed by the row of a matrix H that belongs to the label.

loss = -Σ_k H[label, k] log p_k / normalizer        dx_k = (p_k Σ_j H[label, j] - H[label, k]) · weight / normalizer

With the identity for H it is SoftmaxWithLoss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, canonical_axis, from_to
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._loss import LossLayer
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.schema import read_binaryproto

_LEAST = 1e-20


@register_layer("InfogainLoss")
class InfogainLoss(LossLayer):
    """Logits, bottom 0 of shape (..., C at infogain_loss_param.axis, ...), against integer labels, bottom 1, one for
    each place. H, C x C numbers: bottom 2 if there is one, else the .binaryproto file infogain_loss_param.source.
    Top 0: the loss, (); top 1, if wanted: the probabilities, bottom 0's shape.

    Raises ParameterError without any H, ShapeError for an H or a number of labels of another size, DataError for a
    label that is no class, and what read_binaryproto raises.

    Differences from Caffe: labels are checked, Caffe reads out of bounds; force_backward asks for no gradient to H,
    which ends Caffe.
    """

    bottoms = from_to(2, 3)
    tops = from_to(1, 2)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        x, labels = bottom_shapes[:2]
        axis = canonical_axis(self._message.infogain_loss_param.axis, x, "infogain_loss_param.axis")
        places = math.prod(x[:axis] + x[axis + 1 :])
        if math.prod(labels) != places:
            raise ShapeError(
                f"The labels have shape {labels}, predictions of shape {x} need {places} of them",
                hint=f"One label for each place, the classes being axis {axis}.",
            )
        if len(bottom_shapes) == 3:
            _check_matrix(bottom_shapes[2], x[axis])
        both: list[Shape | None] = [(), x]
        return both[: max(1, len(self._message.top))]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p, source = self._message.loss_param, self._message.infogain_loss_param.source
        self._ignore = _loss.ignore_label(p)
        self._mode = _loss.normalization_mode(p, pb.LossParameter.VALID)
        self._matrix: Array | None = None
        if len(bottom) == 2:
            if not source:
                raise ParameterError(
                    "There is no infogain matrix",
                    field="infogain_loss_param.source",
                    hint="Name a .binaryproto file as source, or give the matrix as bottom 2.",
                )
            self._matrix = read_binaryproto(source).astype(bottom[0].dtype)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        shape = bottom[0].shape
        axis = canonical_axis(self._message.infogain_loss_param.axis, shape)
        self._view = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])  # outer, classes, inner
        if self._matrix is not None:
            _check_matrix(self._matrix.shape, shape[axis])

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        outer, classes, inner = self._view
        labels, valid = _loss.read_labels(bottom[1].data, classes, (outer, inner), self._ignore)
        prob = self._prob(bottom)
        _loss.softmax(bottom[0].data.reshape(self._view), 1, out=prob)
        loss = -np.einsum("oic,oci->oi", self._h(bottom)[labels], np.log(np.maximum(prob, _LEAST)))
        if valid is not None:
            loss *= valid
        count = outer * inner if valid is None else int(valid.sum())
        self._normalizer = _loss.normalizer(self._mode, outer, outer * inner, count)
        top[0].data[...] = loss.sum() / self._normalizer
        if len(top) == 2:
            top[1].data[...] = prob.reshape(top[1].shape)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        self.no_gradient_to(1, propagate_down, "labels")
        if len(bottom) == 3:
            self.no_gradient_to(2, propagate_down, "infogain matrix")
        if not propagate_down[0]:
            return
        outer, classes, inner = self._view
        labels, valid = _loss.read_labels(bottom[1].data, classes, (outer, inner), self._ignore)
        rows = self._h(bottom)[labels]
        dx = bottom[0].diff.reshape(self._view)
        np.multiply(self._prob(bottom), rows.sum(axis=2)[:, None, :], out=dx)
        dx -= rows.transpose(0, 2, 1)
        if valid is not None:
            dx *= valid[:, None, :]
        dx *= _loss.weight_of(top) / self._normalizer

    def _prob(self, bottom: Blobs) -> Array:
        return self._scratch("prob", self._view, bottom[0].dtype)

    def _h(self, bottom: Blobs) -> Array:
        matrix = bottom[2].data if self._matrix is None else self._matrix
        return matrix.reshape(self._view[1], self._view[1])


def _check_matrix(shape: Shape, classes: int) -> None:
    if math.prod(shape) != classes**2:
        raise ShapeError(
            f"The infogain matrix has shape {shape}, for {classes} classes it must be {classes} x {classes}"
        )
