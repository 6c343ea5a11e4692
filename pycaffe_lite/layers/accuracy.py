"""Accuracy: the share of items whose label is among the top_k largest predictions.

A tie counts against the label: it is right when fewer than top_k other classes score at least as much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Shape
from pycaffe_lite.constraints import at_least
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.layer import Blobs, Layer, canonical_axis, exactly, from_to
from pycaffe_lite.layers import _loss
from pycaffe_lite.layers._classification import check_labels
from pycaffe_lite.registry import register_layer


@register_layer("Accuracy")
class Accuracy(Layer):
    """Bottom 0: scores, classes at accuracy_param.axis; bottom 1: integer labels, one for each place.

    Top 0: the share that is right, (); top 1, if wanted: the same for each class, (C). 0 where there is nothing to
    count. Raises ShapeError for another number of labels, ParameterError for top_k above the number of classes,
    DataError for a label that is no class. No backward.

    Differences from Caffe: where the label's score is NaN it is wrong; there it is right, as no other is as large.
    """

    bottoms = exactly(2)
    tops = from_to(1, 2)
    has_backward = False
    constraints = {"accuracy_param.top_k": at_least(1)}

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        p = self._message.accuracy_param
        x, labels = bottom_shapes
        axis = canonical_axis(p.axis, x, "accuracy_param.axis")
        check_labels(x, labels, axis)
        if p.top_k > x[axis]:
            raise ParameterError(f"top_k is {p.top_k}, there are {x[axis]} classes", field="accuracy_param.top_k")
        both: list[Shape | None] = [(), (x[axis],)]
        return both[: len(self._message.top)]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.accuracy_param
        shape = bottom[0].shape
        axis = canonical_axis(p.axis, shape)
        outer, classes, inner = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        scores = bottom[0].data.reshape(outer, classes, inner)
        labels, valid = _loss.read_labels(bottom[1].data, classes, (outer, inner), _loss.ignore_label(p))
        of_label = np.take_along_axis(scores, labels[:, None, :], axis=1)
        rivals = (scores >= of_label).sum(axis=1) - 1
        right = (rivals < p.top_k) & ~np.isnan(of_label[:, 0])
        counted = np.ones_like(right) if valid is None else valid
        right &= counted
        top[0].data[...] = right.sum() / max(1, int(counted.sum()))
        if len(top) == 2:
            per_class = np.bincount(labels[counted], minlength=classes)
            top[1].data[...] = np.bincount(labels[right], minlength=classes) / np.maximum(1, per_class)
