"""Rows of images with the whole batch side by side, for _im2col_batch: where they lie, unrolled and added back.

x and y are (N, C, rows, *rest), y what a convolution makes of x. Of all arrays these are views, or tiles of images that
a core's cache holds.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers._geometry import Geometry, Scratch, batch_last, evenly, work
from pycaffe_lite.order import batch_innermost

TILE_BYTES = 5 << 18  # of rows x: about the second-level cache of a core
# Where the batch is innermost already: so many items make runs long enough to copy; a whole batch saves a copy.
TILE_ITEMS, WHOLE_BYTES = 32, 4 << 20
MIN_COLUMNS = 128  # that a product needs to run at speed, whatever the cache


class ImageRows:
    """The rows of one convolution's input and output, for a tile of its images at a time."""

    def __init__(self, x: Array, y: Array, w: Array, geometry: Geometry, scratch: Scratch, ones: bool = False) -> None:
        self.geometry, self._scratch, self._num = geometry, scratch, len(x)
        self.group = geometry.group
        self.inputs, self.outputs = w.shape[1], len(w) // geometry.group
        self.depth = w[0].size // geometry.kernel[0]
        self.x_rows, self.y_rows, self.rest = x.shape[2], y.shape[2], y.shape[3:]
        self.always = self._always() if ones else None
        self.lines = self.depth + (self.always is not None)  # of an unrolled row
        columns = math.prod(self.rest)
        per_image = self.group * self.x_rows * self.lines * columns * x.itemsize
        most = max(TILE_BYTES // per_image, -(-MIN_COLUMNS // columns))
        if batch_innermost(y):
            most = self._num if self._num * per_image <= WHOLE_BYTES else max(most, TILE_ITEMS)
        self._images = evenly(self._num, most)

    def tiles(self) -> Iterator[slice]:
        for i in range(0, self._num, self._images):
            yield slice(i, min(i + self._images, self._num))

    def alike(self) -> Iterator[tuple[slice, slice]]:
        """Rows of the output that see x through the same rows of the kernel; and where in the stacked weights these
        are.
        """
        for some, kernel in _alike(self.geometry, self.x_rows, self.y_rows):
            yield some, slice(kernel.start * self.lines, kernel.stop * self.lines)

    def _always(self) -> int | None:
        """A row of the kernel that every row of the output sees x through, if there is one."""
        kernels = [kernel for _, kernel in _alike(self.geometry, self.x_rows, self.y_rows)]
        first, stop = kernels[0].start, kernels[-1].stop
        return first if first < stop else None

    def seen(self, unrolled: Array, some: slice) -> Array:
        """What these rows of the output, alike, see of x's unrolled rows: (group, rows, (seen rows, depth), columns), a
        view.
        """
        g = self.geometry
        kernel = _kernel(g, self.x_rows, some.start)
        first = some.start * g.stride[0] - g.pad[0] + kernel.start
        shape = (self.group, some.stop - some.start, len(kernel) * self.lines, unrolled.shape[-1])
        group, row, line, column = unrolled.strides
        strides = (group, row * g.stride[0], line, column)
        return np.ndarray(shape, unrolled.dtype, unrolled, first * row if len(kernel) else 0, strides)

    def room(self, name: str, shape: Shape, images: slice, like: Array) -> Array:
        most = math.prod(shape) // (images.stop - images.start) * self._images
        return work(self._scratch, name, most, shape, like.dtype)

    def channels_first(self, y: Array, images: slice) -> Array:
        """(N, C, rows, *rest) as a view (group, C / group, rows, *rest, N)."""
        by_group = y[images].reshape(images.stop - images.start, self.group, -1, *y.shape[2:])
        return batch_last(by_group)

    def innermost_batch(self, y: Array, images: slice) -> Array:
        """(N, C, rows, *rest) as (group, rows, C / group, (rest, N))."""
        view = self.view(y[images])
        out = self.room("y", view.shape, images, y)
        out[...] = view
        return out.reshape(*view.shape[:3], -1)

    def innermost_channels(self, y: Array, images: slice) -> Array:
        """(N, C, rows, *rest) as (group, rows, (rest, N), C / group): faster as the right factor of a product."""
        places = self.channels_first(y, images)
        if places.flags.c_contiguous:
            return places.reshape(*places.shape[:3], -1).transpose(0, 2, 3, 1)  # as fast, and there already
        view = self.view(y[images])
        view = view.transpose(0, 1, *range(3, view.ndim), 2)
        out = self.room("y", view.shape, images, y)
        out[...] = view
        return out.reshape(*view.shape[:2], -1, view.shape[-1])

    def unroll(self, x: Array, images: slice, same_x: bool = False) -> Array:
        """(N, C, rows, *rest) as (group, rows, (C / group, rest of the kernel), (rest of the output, N)); each
        with a line of ones under it if there is an `always`.

        same_x: the last call was for this x, too. Then the work is done already, if the tile is the whole batch.
        """
        padded, inside, view = self.with_padding(x, images)
        columns = math.prod(self.rest) * view.shape[-1]
        unrolled = self.room("rows", (self.group, self.x_rows, self.lines, columns), images, x)
        if same_x and self._images == self._num:
            return unrolled
        if padded is not view:
            if self._pads_rest():
                padded.fill(0)
            inside[...] = view
        windows = self.geometry.view(padded, 3, self.rest)
        unrolled[:, :, : self.depth].reshape(windows.shape)[...] = windows
        unrolled[:, :, self.depth :] = 1
        return unrolled

    def _pads_rest(self) -> bool:
        return any(self.geometry.pad[1:]) or any(self.geometry.far[1:])

    def by_kernel_row(self, w: Array) -> Array:
        """(group, M / group, C / group, rows, rest) of the weights: a view."""
        return w.reshape(self.group, self.outputs, self.inputs, self.geometry.kernel[0], self.depth // self.inputs)

    def with_padding(self, x: Array, images: slice) -> tuple[Array, Array, Array]:
        """Memory for rows of x with the padding of all axes but the first around them, a view of it without padding,
        and one of x: three times the same where x itself will do.
        """
        view = self.view(x[images])
        if batch_innermost(x) and not self._pads_rest():
            return view, view, view
        pad = self.geometry.pad[1:]
        spatial = self.geometry.padded((0, *view.shape[3:-1]))[1:]
        padded = self.room("padded", (*view.shape[:3], *spatial, view.shape[-1]), images, x)
        inside = (slice(p, p + n) for n, p in zip(view.shape[3:], pad, strict=False))
        return padded, padded[(slice(None),) * 3 + tuple(inside)], view

    def view(self, a: Array) -> Array:
        """(N, C, rows, *rest) as a view (group, rows, C / group, *rest, N)."""
        by_group = a.reshape(len(a), self.group, -1, *a.shape[2:])
        return by_group.transpose(1, 3, 2, *range(4, by_group.ndim), 0)


@functools.lru_cache(maxsize=256)
def _alike(geometry: Geometry, x_rows: int, y_rows: int) -> list[tuple[slice, range]]:
    """Rows of the output with the same `_kernel`, and that."""
    found, start = [], 0
    for kernel, rows in itertools.groupby(range(y_rows), lambda o: _kernel(geometry, x_rows, o)):
        stop = start + len(list(rows))
        found.append((slice(start, stop), kernel))
        start = stop
    return found


def _kernel(g: Geometry, x_rows: int, o: int) -> range:
    """The rows of the kernel that row o of the output sees x through, not padding."""
    first = o * g.stride[0] - g.pad[0]
    start = min(max(0, -first), g.kernel[0])
    return range(start, max(start, min(g.kernel[0], x_rows - first)))


def stacked(rows: Array) -> Array:
    """(group, rows, m, n) as (group, rows · m, n): a view where the rows follow each other."""
    group, count, m, n = rows.shape
    return rows.reshape(group, count * m, n)
