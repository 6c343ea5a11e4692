"""InfogainLoss: SoftmaxWithLoss, with every class weighed by the row of a matrix H that belongs to the label.

loss = -Σ_k H[label, k] log p_k / normalizer        dx_k = (p_k Σ_j H[label, j] - H[label, k]) · weight / normalizer

With the identity for H it is SoftmaxWithLoss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Done
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, from_to, no_gradient_to
from pycaffe_lite.layers._classification import SoftmaxLossLayer
from pycaffe_lite.layers._loss import NO_CLASS_WEIGHT
from pycaffe_lite.registry import register_layer
from pycaffe_lite.schema import read_binaryproto

_LEAST = 1e-20


@register_layer("InfogainLoss")
class InfogainLoss(SoftmaxLossLayer):
    """Logits, bottom 0 of shape (..., C at infogain_loss_param.axis, ...), against integer labels, bottom 1, one for
    each place. H, C x C numbers: bottom 2 if there is one, else the .binaryproto file infogain_loss_param.source.
    Top 0: the loss, (); top 1, if wanted: the probabilities, bottom 0's shape.

    Raises ParameterError without any H, ShapeError for an H or a number of labels of another size, DataError for a
    label that is no class, and what read_binaryproto raises.

    Differences from Caffe: labels are checked, Caffe reads out of bounds; force_backward asks for no gradient to H,
    which ends Caffe.
    """

    bottoms = from_to(2, 3)
    constraints = NO_CLASS_WEIGHT

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def _axis(self) -> tuple[int, str]:
        return self._message.infogain_loss_param.axis, "infogain_loss_param.axis"

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        tops = super().infer_shapes(bottom_shapes)
        if len(bottom_shapes) == 3:
            _check_matrix(bottom_shapes[2], bottom_shapes[0][self._axis()[0]])
        return tops

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        source = self._message.infogain_loss_param.source
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
        if self._matrix is not None:
            _check_matrix(self._matrix.shape, self._view[1])

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if len(bottom) == 3:
            no_gradient_to(2, propagate_down, "the infogain matrix")
        return super().backward_cpu(top, propagate_down, bottom)

    def _losses(self, p: Array, labels: Array, bottom: Blobs) -> Array:
        losses: Array = -np.einsum("oic,oci->oi", self._h(bottom)[labels], np.log(np.maximum(p, _LEAST)))
        return losses

    def _gradient(self, p: Array, labels: Array, bottom: Blobs, dx: Array) -> None:
        rows = self._h(bottom)[labels]
        np.multiply(p, rows.sum(axis=2)[:, None, :], out=dx)
        dx -= rows.transpose(0, 2, 1)

    def _h(self, bottom: Blobs) -> Array:
        matrix = bottom[2].data if self._matrix is None else self._matrix
        return matrix.reshape(self._view[1], self._view[1])


def _check_matrix(shape: Shape, classes: int) -> None:
    if math.prod(shape) != classes**2:
        raise ShapeError(
            f"The infogain matrix has shape {shape}, for {classes} classes it must be {classes} x {classes}"
        )
