"""The transpose of ImageRows.unroll: an unrolled row's numbers, summed where windows overlap, are a row of the image.

`row` (group, depth, columns) is to be filled for one row of the image after another, each followed by `add_up`.
"""

from __future__ import annotations

import math

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._geometry import short_buffer
from pycaffe_lite.layers._image_rows import ImageRows
from pycaffe_lite.order import batch_innermost

MIN_RUN = 32  # numbers in a row of the image that make Shifted pay


def overlapping(rows: ImageRows, dx: Array, images: slice) -> Shifted | Scattered:
    """What sets the rows of these images of dx."""
    g = rows.geometry
    run = math.prod(dx.shape[3:]) * (images.stop - images.start)
    side_by_side = len(rows.rest) == 1 and g.stride[1] == 1 and run >= MIN_RUN
    return (Shifted if side_by_side else Scattered)(rows, dx, images)


class _Image:
    """The images that are made, and where: in dx itself, or in memory that lies better."""

    _view: Array
    _made: Array

    def finish(self) -> None:
        """All rows are there."""
        if self._made is not self._view:
            self._view[...] = self._made


class Shifted(_Image):
    """Windows one place apart along one axis: what place k of the kernel has seen is `row`'s part k, shifted by
    k · dilation.

    With zeros between the parts, all of a row of the image is one sum over k, of views: numpy computes it twice as fast
    as it adds the parts one by one, which takes an inner loop through its buffers for each.
    """

    def __init__(self, rows: ImageRows, dx: Array, images: slice) -> None:
        g, view = rows.geometry, rows.view(dx[images])
        num, width, kernel = view.shape[-1], view.shape[3], g.kernel[1]
        gap, run = (g.extent[1] - 1) * num, rows.rest[0] * num
        parts = rows.group * rows.depth
        memory = rows.room("row", (parts * (gap + run) + gap,), images, dx)
        size = memory.itemsize
        strides = np.array([rows.depth, 1]) * (gap + run) * size
        np.ndarray((parts + 1, gap), memory.dtype, memory, 0, (strides[1], size))[...] = 0
        self.row = np.ndarray((rows.group, rows.depth, run), memory.dtype, memory, gap * size, (*strides, size))
        self._shifted = np.ndarray(
            (rows.group, rows.inputs, kernel, width, num),
            memory.dtype,
            memory,
            (gap + g.pad[1] * num) * size,
            (strides[0], kernel * strides[1], strides[1] - g.dilation[1] * num * size, num * size, size),
        )
        self._view = view
        self._made = view if batch_innermost(dx) else rows.room("padded", view.shape, images, dx)

    def add_up(self, h: int) -> None:
        """Row h of the image is what `row` says."""
        np.add.reduce(self._shifted, axis=2, out=self._made[:, h])


class Scattered(_Image):
    """Windows of any kind."""

    def __init__(self, rows: ImageRows, dx: Array, images: slice) -> None:
        columns = math.prod(rows.rest) * (images.stop - images.start)
        self.row = rows.room("row", (rows.group, rows.depth, columns), images, dx)
        sums, self._made, self._view = rows.with_padding(dx, images)
        sums.fill(0)
        windows = rows.geometry.view(sums, 3, rows.rest)
        parts = self.row.reshape(windows.shape[:1] + windows.shape[2:])
        self._parts = [
            (windows[(slice(None),) * 3 + k], parts[(slice(None),) * 2 + k])
            for k in np.ndindex(*rows.geometry.kernel[1:])
        ]

    def add_up(self, h: int) -> None:
        """As Shifted.add_up."""
        with short_buffer():
            for seen, part in self._parts:
                here = seen[:, h]
                np.add(here, part, out=here)
