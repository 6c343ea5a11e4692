"""Flatten: the axes from `axis` to `end_axis` become one; the numbers stay where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.layer import Blobs, canonical_axis
from pycaffe_lite.layers._view import ViewLayer
from pycaffe_lite.registry import register_layer


@register_layer("Flatten")
class Flatten(ViewLayer):
    """Top: shape[:axis], the product of shape[axis..end_axis], the rest; the bottom's memory, without a copy.

    Raises ParameterError when end_axis lies before axis.
    """

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        p, shape = self._message.flatten_param, bottom_shapes[0]
        first = canonical_axis(p.axis, shape, "flatten_param.axis")
        last = canonical_axis(p.end_axis, shape, "flatten_param.end_axis")
        if last < first:
            raise ParameterError(
                f"end_axis {p.end_axis} lies before axis {p.axis} in shape {shape}", field="flatten_param.end_axis"
            )
        return [(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])]

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done:
        if propagate_down[0]:
            bottom[0].share_diff(top[0])
        return NOTHING
