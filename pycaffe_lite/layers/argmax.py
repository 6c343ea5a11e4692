"""ArgMax: which top_k numbers are largest, the largest first; of equal ones the later."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Shape
from pycaffe_lite.constraints import at_least
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.layer import Blobs, Layer, canonical_axis, exactly
from pycaffe_lite.registry import register_layer


@register_layer("ArgMax")
class ArgMax(Layer):
    """With `axis`: indices along it or, with out_max_val, the numbers themselves; top: the bottom's shape, top_k long
    along `axis`. Without: of all numbers of an item, (N, 1, top_k), or with out_max_val (N, 2, top_k), indices before
    numbers; as many axes of 1 behind these as make the bottom's number. No backward.

    Raises ParameterError for a top_k of more numbers than there are.
    """

    bottoms = exactly(1)
    tops = exactly(1)
    has_backward = False
    constraints = {"argmax_param.top_k": at_least(1)}

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        p, shape = self._message.argmax_param, bottom_shapes[0]
        axis = canonical_axis(p.axis if p.HasField("axis") else 0, shape, "argmax_param.axis")
        among = shape[axis] if p.HasField("axis") else math.prod(shape[1:])
        if p.top_k > among:
            raise ParameterError(
                f"top_k is {p.top_k}, a bottom of shape {shape} has {among} numbers to choose from",
                field="argmax_param.top_k",
            )
        if p.HasField("axis"):
            return [(*shape[:axis], p.top_k, *shape[axis + 1 :])]
        return [(shape[0], 1 + p.out_max_val, p.top_k, *[1] * (len(shape) - 3))]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        p, shape = self._message.argmax_param, bottom[0].shape
        axis = canonical_axis(p.axis, shape) if p.HasField("axis") else 1
        x = bottom[0].data if p.HasField("axis") else bottom[0].data.reshape(shape[0], math.prod(shape[1:]))
        back = np.flip(x, axis)
        if p.top_k == 1:
            order = back.argmax(axis=axis, keepdims=True)
        else:
            order = np.argsort(-back, axis=axis, kind="stable").take(range(p.top_k), axis=axis)
        index = x.shape[axis] - 1 - order
        if not p.HasField("axis"):
            y = top[0].data.reshape(shape[0], 1 + p.out_max_val, p.top_k)
            y[:, 0] = index
            if p.out_max_val:
                y[:, 1] = np.take_along_axis(x, index, axis)
        else:
            top[0].data[...] = np.take_along_axis(x, index, axis) if p.out_max_val else index
