"""Reshape: the same numbers in another shape; the numbers stay where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.constraints import at_least
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._view import ViewLayer
from pycaffe_lite.registry import register_layer

_P = "reshape_param."


@register_layer("Reshape")
class Reshape(ViewLayer):
    """Top: the bottom's shape with the num_axes axes from `axis` on (all of them for -1) replaced by shape's dims.
    A dim of 0 is the bottom's own at this place, -1 what is left over. A negative axis counts from behind the last: -1
    adds axes at the end. The bottom's memory, without a copy.

    Raises ParameterError for axes that the bottom does not have and for two dims of -1, ShapeError when the numbers do
    not fill the new shape.
    """

    constraints = {"reshape_param.num_axes": at_least(-1)}

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        p, shape = self._message.reshape_param, bottom_shapes[0]
        dims = list(p.shape.dim)
        axis = p.axis if p.axis >= 0 else p.axis + 1 + len(shape)
        if not 0 <= axis <= len(shape):
            raise ParameterError(f"axis {p.axis} is out of range for a bottom of shape {shape}", field=_P + "axis")
        end = len(shape) if p.num_axes == -1 else axis + p.num_axes
        if end > len(shape):
            raise ParameterError(
                f"{p.num_axes} axes from axis {axis} on are more than a bottom of shape {shape} has",
                field=_P + "num_axes",
            )
        for k, dim in enumerate(dims):
            if dim < -1 or (dim == -1 and -1 in dims[:k]):
                raise ParameterError(
                    f"The new shape {tuple(dims)} has " + ("two dims of -1" if dim == -1 else f"a dim of {dim}"),
                    field=f"{_P}shape.dim[{k}]",
                    hint="A dim is a size, 0 for the bottom's own, or, once, -1 for what is left over.",
                )
            if dim == 0:
                if axis + k >= len(shape):
                    raise ParameterError(
                        f"dim 0 stands for the bottom's axis {axis + k}, which a bottom of shape {shape} does not have",
                        field=f"{_P}shape.dim[{k}]",
                    )
                dims[k] = shape[axis + k]
        if -1 in dims:
            # Axes without items (after a Filter) count once, so that 0 and -1 mean with none what they mean with some.
            sizes = shape if math.prod(shape) else tuple(n or 1 for n in shape)
            others = [n or 1 for n in (*shape[:axis], *dims, *shape[end:]) if n != -1]
            dims[dims.index(-1)] = math.prod(sizes) // math.prod(others)
        new = (*shape[:axis], *dims, *shape[end:])
        if math.prod(new) != math.prod(shape):
            raise ShapeError(
                f"A bottom of shape {shape} has {math.prod(shape)} numbers, which do not fill {tuple(p.shape.dim)}"
                + (f" in place of axes {axis} to {end - 1}" if (axis, end) != (0, len(shape)) else ""),
                hint="A dim of -1 takes what is left over.",
            )
        return [new]

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done:
        if propagate_down[0]:
            bottom[0].share_diff(top[0])
        return NOTHING
