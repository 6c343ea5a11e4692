"""Which pixel of one blob of a NetSpec lies where in another: pycaffe's caffe.coord_map, for cropping in FCNs.

A map is (axis, scale, shift): along the spatial axes, which follow `axis`, coordinate x of a layer's bottom is
coordinate scale · x + shift of its top. Axis None is that of a layer that moves nothing, such as ReLU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import GraphError
from pycaffe_lite.net_spec import Function, Top, layers

PASS_THROUGH_LAYERS = [
    "AbsVal",
    "BNLL",
    "BatchNorm",
    "Bias",
    "Clip",
    "Dropout",
    "ELU",
    "Eltwise",
    "Exp",
    "LRN",
    "Log",
    "MVN",
    "PReLU",
    "Power",
    "ReLU",
    "Scale",
    "Sigmoid",
    "Split",
    "Swish",
    "TanH",
    "Threshold",
]
"""Types whose tops have their bottoms' coordinates."""


class UndefinedMapException(GraphError):
    """A layer whose tops have no coordinates, such as InnerProduct."""


class AxisMismatchException(GraphError):
    """Maps along different axes."""


class CropException(GraphError, AssertionError):
    """A blob that cannot be cropped to another: of another scale, smaller, or half a pixel off."""


class CoordMap(NamedTuple):
    """See the module."""

    axis: int | None
    scale: Array | float
    shift: Array | float


_IDENTITY = CoordMap(None, 1, 0)


def conv_params(fn: Function) -> tuple[int, Array, Array, Array]:
    """(axis, stride, extent of the kernel, pad) of a convolution, deconvolution, Im2col or pooling.

    Raises CropException for kernel_h and its like, as pycaffe does, and for a kernel that only the bottom's size says.
    """
    given = fn.params.get("convolution_param", fn.params.get("pooling_param", fn.params))
    legacy = {"pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w"} & given.keys()
    if legacy:
        raise CropException(
            f"{fn.type_name} is given {', '.join(sorted(legacy))}", hint="Use kernel_size, stride and pad, as lists."
        )
    if "kernel_size" not in given:
        raise CropException(f"{fn.type_name} is given no kernel_size", hint="Where it looks depends on its bottom.")
    kernel, dilation = _axes(given["kernel_size"]), _axes(given.get("dilation", 1))
    return given.get("axis", 1), _axes(given.get("stride", 1)), (kernel - 1) * dilation + 1, _axes(given.get("pad", 0))


def crop_params(fn: Function) -> tuple[int, Array]:
    """(axis, offset) of a Crop."""
    given = fn.params.get("crop_param", fn.params)
    return given.get("axis", 2), _axes(given.get("offset", 0))


def coord_map(fn: Function) -> CoordMap:
    """The map from a layer's bottom to its top. Raises UndefinedMapException for types without."""
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return CoordMap(axis, 1 / stride, (pad - (extent - 1) / 2) / stride)
    if fn.type_name == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return CoordMap(axis, stride, (extent - 1) / 2 - pad)
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return CoordMap(axis - 1, 1, -offset)
    if fn.type_name in PASS_THROUGH_LAYERS:
        return _IDENTITY
    raise UndefinedMapException(f"The tops of {fn.type_name} have no coordinates")


def compose(base_map: Any, next_map: Any) -> CoordMap:
    """The map that is `next_map` first and then `base_map`. Raises AxisMismatchException."""
    (axis1, scale1, shift1), (axis2, scale2, shift2) = base_map, next_map
    if axis1 is not None and axis2 is not None and axis1 != axis2:
        raise AxisMismatchException(f"Coordinates begin after axis {axis1} here and after axis {axis2} there")
    return CoordMap(axis2 if axis1 is None else axis1, scale1 * scale2, scale1 * shift2 + shift1)


def inverse(coord_map: Any) -> CoordMap:
    """The map from top to bottom."""
    axis, scale, shift = coord_map
    return CoordMap(axis, 1 / scale, -shift / scale)


def coord_map_from_to(top_from: Top, top_to: Top) -> CoordMap:
    """The map from the coordinates of `top_from` to those of `top_to`, which need a common ancestor.

    Raises GraphError where there is no way of layers with coordinates, AxisMismatchException.
    """
    from_maps = dict(_ancestors(top_from))
    for top, to_map in _ancestors(top_to):
        if top in from_maps:
            return compose(to_map, inverse(from_maps[top]))
    raise GraphError("Could not compute map between tops; are they connected by spatial layers?")


def _ancestors(top: Top) -> Iterator[tuple[Top, CoordMap]]:
    """The top and all that it is made of by layers with coordinates, nearest first, with their maps to the top."""
    found = {top: _IDENTITY}
    queue = [top]
    while queue:
        here = queue.pop(0)
        yield here, found[here]
        # The second bottom of a Crop gives its size only.
        bottoms = here.fn.inputs[:1] if here.fn.type_name == "Crop" else here.fn.inputs
        try:
            step = coord_map(here.fn) if bottoms else _IDENTITY
        except UndefinedMapException:
            continue
        for bottom in bottoms:
            if bottom not in found:
                found[bottom] = compose(found[here], step)
                queue.append(bottom)


def crop(top_from: Top, top_to: Top) -> Any:
    """A Crop of `top_from` to the pixels that `top_to` has.

    Raises CropException, also an AssertionError as in pycaffe, where they are of different scale, where `top_from` is
    the smaller one, and where pixels of the one do not lie on pixels of the other.
    """
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    if not np.all(np.equal(scale, 1)):
        raise CropException(f"scale mismatch on crop (a = {scale})")
    if not np.all(np.less_equal(shift, 0)):
        raise CropException(f"cannot crop negative offset (b = {shift})")
    if not np.all(np.round(shift) == shift):
        raise CropException(f"cannot crop noninteger offset (b = {shift})")
    offset = [int(-b) for b in np.atleast_1d(shift)]
    return layers.Crop(top_from, top_to, crop_param={"axis": (1 if axis is None else axis) + 1, "offset": offset})


def _axes(value: Any) -> Array:
    """One number for all spatial axes, or one for each."""
    return np.array(value, ndmin=1)
