"""What losses share: the weight that comes from above, labels, and what a loss is divided by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.constraints import Constraint
from pycaffe_lite.done import BY_LAYER, Done
from pycaffe_lite.errors import DataError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.proto import caffe_pb2 as pb

_MODE = pb.LossParameter


def softmax(x: Array, axis: int, out: Array) -> Array:
    """Softmax along an axis, shifted by the maximum so that nothing overflows. `out` may be x."""
    np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf), out=out)
    np.exp(out, out=out)
    out /= np.add.reduce(out, axis=axis, keepdims=True)
    return out


NO_CLASS_WEIGHT = {"loss_param.class_weight": Constraint(lambda v: False, "is for SoftmaxWithLoss only", 1.0)}
"""A constraint of the other losses that read loss_param."""


class LossLayer(Layer):
    """Predictions and targets in, one number out; its weight in the net's loss stands in the top's diff.

    Gradients go to the predictions only, unless a subclass says otherwise. The loss of a batch without items is 0.
    """

    bottoms = exactly(2)
    tops = exactly(1)
    auto_tops = True

    def default_loss_weight(self, top_index: int) -> float:
        return 1.0 if top_index == 0 else 0.0

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        x, target = bottom_shapes[:2]
        if x[:1] != target[:1]:
            raise ShapeError(f"The bottoms have shapes {x} and {target}", hint="Their first dimension must be equal.")
        return [()]

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        done = super().backward(top, propagate_down, bottom)
        return BY_LAYER if done is None else done

    def items(self, bottom: Blobs) -> int:
        """What a mean over the items of the batch divides by; at least 1, for a Filter may leave none."""
        shape = bottom[0].shape
        return max(1, shape[0]) if shape else 1


def read_labels(labels: Array, classes: int, shape: Shape, ignore_label: int | None) -> tuple[Array, Array | None]:
    """Labels as integers of this shape, and which count (None: all).

    Ignored ones become 0, so that they can be used as indices. Raises DataError for a label that is no class.
    """
    if ignore_label is None:
        low, high = (f.reduce(labels, axis=None, initial=0) for f in (np.minimum, np.maximum))
        if low > -1 and high < classes:  # as NaN is not
            return labels.reshape(shape).astype(np.intp), None
    whole = np.trunc(labels.reshape(shape))
    valid = None if ignore_label is None else whole != ignore_label
    wrong = ~((whole >= 0) & (whole < classes))  # so that NaN is
    if valid is not None:
        wrong &= valid
        whole = np.where(valid, whole, 0)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        value = labels.reshape(shape)[at]
        place = f"item {at[0]} of the batch" + (f", place {at[1:]}" if math.prod(shape[1:]) > 1 else "")
        raise DataError(
            f"Label {value:g} of {place} is not between 0 and {classes - 1}",
            hint="Check the labels, or give the layer before the loss as many outputs as there are classes.",
        )
    return whole.astype(np.intp), valid


def normalizer(mode: int, batch: int, full: int, valid: int) -> float:
    """What a loss over `full` places in `batch` items, `valid` of them counting, is divided by; at least 1."""
    by = {_MODE.FULL: full, _MODE.VALID: valid, _MODE.BATCH_SIZE: batch, _MODE.NONE: 1}[mode]  # type: ignore[index]
    return max(1.0, float(by))


def normalization_mode(p: pb.LossParameter, default: int) -> int:
    """`normalization` if given, else what the old `normalize` meant, else the loss's own default."""
    if p.HasField("normalization"):
        return p.normalization
    if p.HasField("normalize"):
        return _MODE.VALID if p.normalize else _MODE.BATCH_SIZE
    return default


def ignore_label(p: pb.LossParameter | pb.AccuracyParameter) -> int | None:
    return p.ignore_label if p.HasField("ignore_label") else None


def weight_of(top: Blobs) -> float:
    """The loss's weight, from its top's diff."""
    return float(top[0].diff.item(0))
