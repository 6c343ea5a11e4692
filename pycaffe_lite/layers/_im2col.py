"""Convolution as matrix products, for any number of spatial axes.

The columns X of an image are what its windows see: X[(c, k), o] = x[c, o · stride + k · dilation - pad], with a row for
each input of a window and a column for each place o of the output. Then

    y = W X + b        dW += dy Xᵀ        db += Σ dy        dX = Wᵀ dy, and dx sums dX where windows overlap (col2im)

A row of ones under X makes b one more column of W, so that the bias costs no passes of its own. X is kernel times
larger than x: it is made for a tile of images (of rows, where images are large) that fits a core's cache, and made
again for backward, which is cheaper than fetching it from memory. Small images make thin matrices: _im2col_batch.

Arrays are of one dtype: x (N, C, *spatial), y (N, M, *output), w (M, C / group, *kernel), b (M,). C-contiguous;
with by_batch, where suits_batch allows it, x and y may lie in any order.
A deconvolution is the same with roles swapped: conv_backward_data(x, w, y) is its forward pass, conv_forward(dy, w,
None, dx) and conv_backward_weight(dy, x, dw, None) are its backward.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers import _im2col_batch, _im2col_tiles
from pycaffe_lite.layers._geometry import Geometry as Geometry
from pycaffe_lite.layers._geometry import Scratch, evenly, work
from pycaffe_lite.layers._sums import sum_over

TILE_BYTES = 5 << 18  # of columns: about the second-level cache of a core
MIN_PLACES = 256  # columns that a product needs to run at speed, whatever the cache


suits_batch = _im2col_batch.suits


def conv_forward(
    x: Array, w: Array, b: Array | None, y: Array, geometry: Geometry, scratch: Scratch, by_batch: bool | None = None
) -> None:
    """Set y = W X + b; without b where it is None."""
    if _im2col_tiles.suits(geometry, x, w.shape, y) and _im2col_tiles.forward(x, w, b, y, geometry):
        return
    if suits_batch(geometry, w.shape, y.shape) if by_batch is None else by_batch:
        _im2col_batch.forward(x, w, b, y, geometry, scratch)
        return
    weights = w.reshape(geometry.group, -1, w[0].size)
    bias = None if b is None else b.reshape(geometry.group, -1, 1)
    ones = bias is not None and not geometry.pointwise
    if ones:  # b is one more column of W, for a line of ones under X
        weights, bias = np.concatenate([weights, bias], axis=2), None
    columns = _Columns(x, y, w[0].size, geometry, scratch)
    for images, rows in columns.tiles():
        places = columns.places(y, images, rows)
        np.matmul(weights, columns.take(x, images, rows, ones=ones), out=places)
        if bias is not None:
            places += bias


def conv_backward_weight(
    x: Array,
    dy: Array,
    dw: Array | None,
    db: Array | None,
    geometry: Geometry,
    scratch: Scratch,
    by_batch: bool | None = None,
    same_x: bool = False,
) -> None:
    """Add: dw += dy Xᵀ and db += Σ dy; each only where it is not None. same_x: x is what conv_forward has seen last."""
    if dw is not None and _im2col_tiles.suits(geometry, x, dw.shape, dy):
        if _im2col_tiles.backward_weight(x, dy, dw, db, geometry):
            return
        same_x = False
    if dw is not None and (suits_batch(geometry, dw.shape, dy.shape) if by_batch is None else by_batch):
        _im2col_batch.backward_weight(x, dy, dw, db, geometry, scratch, same_x)
        return
    ones = dw is not None and db is not None and not geometry.pointwise
    if db is not None and not ones:
        db += sum_over((0, *range(2, dy.ndim)), dy)
    if dw is None:
        return
    columns, depth = _Columns(x, dy, dw[0].size, geometry, scratch), dw[0].size
    # X dyᵀ, the transpose of dy Xᵀ: BLAS is faster with the longer side first.
    total = scratch("total", (geometry.group, depth + ones, len(dw) // geometry.group), dw.dtype)
    total.fill(0)
    at_once = max(1, TILE_BYTES // total.nbytes)
    for images, rows in columns.tiles():
        taken = columns.take(x, images, rows, ones)
        places = columns.places(dy, images, rows).swapaxes(2, 3)
        for i in range(0, len(taken), at_once):
            some = taken[i : i + at_once]
            products = work(scratch, "products", at_once * total.size, (len(some), *total.shape), dw.dtype)
            for product in np.matmul(some, places[i : i + at_once], out=products):
                total += product
    gradient = dw.reshape(geometry.group, -1, depth)
    gradient += total[:, :depth].swapaxes(1, 2)
    if db is not None and ones:
        db += total[:, depth].reshape(-1)


def conv_backward_data(
    dy: Array, w: Array, dx: Array, geometry: Geometry, scratch: Scratch, by_batch: bool | None = None
) -> None:
    """Set dx = Wᵀ dy, summed where windows overlap."""
    if _im2col_tiles.suits(geometry, dx, w.shape, dy) and _im2col_tiles.backward_data(dy, w, dx, geometry):
        return
    if suits_batch(geometry, w.shape, dy.shape) if by_batch is None else by_batch:
        _im2col_batch.backward_data(dy, w, dx, geometry, scratch)
        return
    weights = w.reshape(geometry.group, -1, w[0].size).swapaxes(1, 2)
    columns = _Columns(dx, dy, w[0].size, geometry, scratch)
    for images, rows in columns.tiles():
        places = columns.places(dy, images, rows)
        if geometry.pointwise:
            np.matmul(weights, places, out=columns.places(dx, images, rows))
        else:
            out = columns.room(images, rows, dx.dtype)
            np.matmul(weights, places, out=out)
            columns.add(out, dx, images, rows)


def im2col(x: Array, columns: Array, geometry: Geometry, scratch: Scratch) -> None:
    """The columns themselves: x (N, C, *spatial) to columns (N, C · kernel, *output). The group counts for nothing."""
    tiled = _Columns(x, columns, columns.shape[1], replace(geometry, group=1), scratch)
    for images, rows in tiled.tiles():
        tiled.places(columns, images, rows)[...] = tiled.take(x, images, rows)


def col2im(columns: Array, x: Array, geometry: Geometry, scratch: Scratch) -> None:
    """The transpose of im2col: each place of x becomes the sum of all that the columns hold of it."""
    tiled = _Columns(x, columns, columns.shape[1], replace(geometry, group=1), scratch)
    for images, rows in tiled.tiles():
        tiled.add(tiled.places(columns, images, rows), x, images, rows)


class _Columns:
    """The columns of one convolution, tile by tile: so many images or, of one image, so many rows of the output."""

    def __init__(self, x: Array, y: Array, depth: int, geometry: Geometry, scratch: Scratch) -> None:
        self._geometry, self._scratch, self._depth = geometry, scratch, depth
        self._num, self._output, self._row = len(y), y.shape[2:], math.prod(y.shape[3:])
        room = max(MIN_PLACES, TILE_BYTES // (max(1, depth) * geometry.group * x.itemsize))
        self._images = evenly(self._num, room // math.prod(self._output))
        self._rows = self._output[0] if self._images > 1 else evenly(self._output[0], room // self._row)

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """(images, rows of the output) of each tile; those of one image follow each other."""
        for i in range(0, self._num, self._images):
            for r in range(0, self._output[0], self._rows):
                yield slice(i, min(i + self._images, self._num)), slice(r, min(r + self._rows, self._output[0]))

    def places(self, y: Array, images: slice, rows: slice) -> Array:
        """The tile of y, (images, group, M / group, places): a view."""
        of_images = y[images].reshape(
            len(y[images]), self._geometry.group, y.shape[1] // self._geometry.group, math.prod(y.shape[2:])
        )
        return of_images[..., rows.start * self._row : rows.stop * self._row]

    def room(self, images: slice, rows: slice, dtype: npt.DTypeLike, ones: bool = False) -> Array:
        """Memory for the columns of the tile, (images, group, depth, places); with one row more, of ones."""
        group, places = self._geometry.group, (rows.stop - rows.start) * self._row
        shape = (images.stop - images.start, group, self._depth + ones, places)
        # With or without the row, the same memory.
        most = self._images * group * (self._depth + 1) * self._rows * self._row
        columns = work(self._scratch, "columns", most, shape, dtype)
        if ones:
            columns[:, :, -1] = 1
        return columns

    def take(self, x: Array, images: slice, rows: slice, ones: bool = False) -> Array:
        """The columns of the tile; x itself where every window is one place of its own."""
        if self._geometry.pointwise:
            return self.places(x, images, rows)
        columns = self.room(images, rows, x.dtype, ones)
        view = self._windows(self._padded_rows(x[images], rows), rows)
        columns[:, :, : self._depth].reshape(view.shape)[...] = view
        return columns

    def add(self, columns: Array, dx: Array, images: slice, rows: slice) -> None:
        """Add the columns of the tile to dx, which the first tile of an image overwrites."""
        g, out, padded = self._geometry, dx[images], dx[images]
        if g.is_padded:
            shape = (*out.shape[:2], *g.padded(out.shape[2:]))
            padded = work(self._scratch, "sums", self._images * math.prod(shape[1:]), shape, dx.dtype)
        if rows.start == 0:
            padded.fill(0)
        view = self._windows(padded[:, :, rows.start * g.stride[0] :], rows)
        columns = columns.reshape(view.shape)
        for k in np.ndindex(*g.kernel):
            view[(slice(None),) * 3 + k] += columns[(slice(None),) * 3 + k]
        if padded is not out and rows.stop == self._output[0]:
            out[...] = padded[_inside(g.pad, out.shape)]

    def _windows(self, seen: Array, rows: slice) -> Array:
        """What each window of the tile sees: (images, group, C / group, *kernel, *output of the tile)."""
        by_group = seen.reshape(len(seen), self._geometry.group, -1, *seen.shape[2:])
        return self._geometry.view(by_group, 3, (rows.stop - rows.start, *self._output[1:]))

    def _padded_rows(self, x: Array, rows: slice) -> Array:
        """The rows of x that these rows of the output see, between zeros where they hang over the edge."""
        g = self._geometry
        first = rows.start * g.stride[0] - g.pad[0]
        stop = (rows.stop - 1) * g.stride[0] - g.pad[0] + g.extent[0]
        if not g.is_padded:
            return x[:, :, first:stop]
        spatial = g.padded(x.shape[2:])
        most = self._images * x.shape[1] * ((self._rows - 1) * g.stride[0] + g.extent[0]) * math.prod(spatial[1:])
        padded = work(self._scratch, "padded", most, (*x.shape[:2], stop - first, *spatial[1:]), x.dtype)
        padded.fill(0)
        top = min(max(first, 0), x.shape[2])
        bottom = max(top, min(stop, x.shape[2]))
        inner = padded[:, :, top - first : bottom - first]
        inner[_inside((0, *g.pad[1:]), (*x.shape[:2], bottom - top, *x.shape[3:]))] = x[:, :, top:bottom]
        return padded


def _inside(pad: Shape, shape: Shape) -> tuple[slice, ...]:
    """Where the data of this shape are in an array with padding around its spatial axes."""
    return (slice(None), slice(None), *(slice(p, p + n) for p, n in zip(pad, shape[2:], strict=True)))
