"""Pictures of numbers, (height, width, channels), in other sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, FloatArray
from pycaffe_lite.data.images import stretched
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.memory import check_memory

Dims = Sequence[int] | Array
"""Height and width."""

_FILTERS = {0: "NEAREST", 1: "BILINEAR", 3: "BICUBIC"}


def resize_image(im: Array, new_dims: Dims, interp_order: int = 1) -> FloatArray:
    """A picture (height, width, channels) of any numbers as float32 (*new_dims, channels).

    `interp_order` is 0 for the nearest pixel, 1 for bilinear, 3 for bicubic interpolation. Pixels count as little
    squares, nothing is averaged when the picture becomes smaller, and the border goes on outside: scikit-image's
    `resize` without anti-aliasing, mode "edge". Versions of pycaffe differ here as those of scikit-image do.

    Raises ShapeError for an array that is no picture, ParameterError for another order, MemoryLimitError.
    """
    im = np.asarray(im)
    height, width = (int(d) for d in new_dims)
    if im.ndim != 3 or not im.size or min(height, width) < 1:
        raise ShapeError(
            f"An array of shape {im.shape} cannot become a picture of {height}×{width}",
            hint="Pictures are (height, width, channels), and not empty.",
        )
    if interp_order not in _FILTERS:
        raise ParameterError(f"interp_order is {interp_order}", hint="It must be 0, 1 or 3.")
    check_memory(4 * height * width * im.shape[2], f"Resizing a picture to {height}×{width}")
    resized = np.empty((height, width, im.shape[2]), np.float32)
    for k in range(im.shape[2]):
        channel = np.ascontiguousarray(im[:, :, k], np.float32)
        if channel.shape != (height, width):
            channel = stretched(channel, height, width, _FILTERS[interp_order])
        resized[:, :, k] = channel
    return resized
