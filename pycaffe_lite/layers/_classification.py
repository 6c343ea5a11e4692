"""What losses over classes share: a softmax over one axis, an integer label for each place, some of them ignored."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, canonical_axis, from_to, no_gradient_to
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._loss import LossLayer
from pycaffe_lite.proto import caffe_pb2 as pb


def check_labels(x: Shape, labels: Shape, axis: int) -> None:
    """Raise ShapeError unless there is one label for each place of predictions x, whose classes are along axis."""
    places = math.prod(x[:axis] + x[axis + 1 :])
    if math.prod(labels) != places:
        raise ShapeError(
            f"The labels have shape {labels}, predictions of shape {x} need {places} of them",
            hint=f"One label for each place, the classes being axis {axis}.",
        )


class SoftmaxLossLayer(LossLayer):
    """A loss of p, the softmax of bottom 0's classes, and the labels in bottom 1; top 1, if wanted, is p.

    p is (outer, classes, inner), everything of a place (outer, inner). Labels that are ignored are 0 and count nothing.
    """

    tops = from_to(1, 2)
    _normalizer = 1.0
    """What the last forward pass divided by."""
    _labels: tuple[Array, Array | None]
    """Of the last pass, and which of them count."""

    def _axis(self) -> tuple[int, str]:
        """The classes' axis as the message gives it, and the field that does."""
        raise NotImplementedError

    def _losses(self, p: Array, labels: Array, bottom: Blobs) -> Array:
        """The loss of each place."""
        raise NotImplementedError

    def _gradient(self, p: Array, labels: Array, bottom: Blobs, dx: Array) -> None:
        """Set dx to the derivative of each place's loss by what the softmax was taken of."""
        raise NotImplementedError

    def _divisor(self, labels: Array, valid: Array | None) -> float:
        """What the sum of all losses is divided by, as `normalization` says."""
        counted = labels.size if valid is None else int(valid.sum())
        return _loss.normalizer(self._mode, self._view[0], labels.size, counted)

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        x, labels = bottom_shapes[:2]
        axis, field = self._axis()
        check_labels(x, labels, canonical_axis(axis, x, field))
        both: list[Shape | None] = [(), x]
        return both[: max(1, len(self._message.top))]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.loss_param
        self._ignore = _loss.ignore_label(p)
        self._mode = _loss.normalization_mode(p, pb.LossParameter.VALID)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        shape = bottom[0].shape
        axis = canonical_axis(self._axis()[0], shape)
        self._view = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done | None:
        x, tops = bottom[0].data.reshape(self._view), (blob.data for blob in top)
        return self._do(functools.partial(self._value, bottom), x, bottom[1].data, self._probabilities(bottom), *tops)

    def _value(self, bottom: Blobs, x: Array, given: Array, p: Array, loss: Array, *copies: Array) -> None:
        self._labels = labels, valid = self._read(given)
        _loss.softmax(x, 1, out=p)
        losses = self._losses(p, labels, bottom)
        if valid is not None:
            losses[~valid] = 0
        self._normalizer = self._divisor(labels, valid)
        loss[...] = np.add.reduce(losses, axis=None) / self._normalizer
        for copy in copies:
            copy[...] = p.reshape(copy.shape)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        no_gradient_to(1, propagate_down, "the labels")
        if not propagate_down[0]:
            return NOTHING
        self._labels = self._read(bottom[1].data)  # others, perhaps, than forward's
        dx = bottom[0].diff.reshape(self._view)
        return self._do(functools.partial(self._slopes, bottom), self._probabilities(bottom), top[0].diff, dx)

    def _slopes(self, bottom: Blobs, p: Array, weight: Array, dx: Array) -> None:
        labels, valid = self._labels
        self._gradient(p, labels, bottom, dx)
        if valid is not None:
            np.copyto(dx, 0, where=~valid[:, None, :])
        dx *= weight.item() / self._normalizer

    def _read(self, labels: Array) -> tuple[Array, Array | None]:
        outer, classes, inner = self._view
        return _loss.read_labels(labels, classes, (outer, inner), self._ignore)

    def _probabilities(self, bottom: Blobs) -> Array:
        """The memory in which p stays from forward to backward."""
        return self._scratch("p", self._view, bottom[0].dtype)
