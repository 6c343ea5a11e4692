"""Convolution of images as matrix products, with fewer of them: in tiles of rows, as _winograd says.

Images lie with the same row of all of them side by side, (C, H, (N, W)) or, small ones, (C, H, (W, N)). With
v = B x, a value v_i of all tiles as a matrix (w C, places), unrolled along the width, and G w as matrices U_i (O, w C),

    p_i = U_i v_i    y = A p        dp = Aᵀ dy    dU_i += dp_i v_iᵀ    dv_i = U_iᵀ dp_i    dx += Bᵀ dv

Each of these says whether it did: not where a result is not finite, which then has to be computed by windows.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers._geometry import Geometry, evenly
from pycaffe_lite.layers._winograd import FLOAT, ONE, ROWS, Band, TileRows, can_do, is_finite, matrices, products_saved
from pycaffe_lite.memory import aligned

TOGETHER = 2
"""Tiles below each other that are worked through together. One or four take 0.97 to 1.1 of the time."""
MOST = 1 << 22
"""Numbers of images that are worked through together: their rows are copied."""
MIN_RUN, SHORT = 8, 32
"""So many items are a run to copy, where rows are SHORT: CaffeNet and GoogLeNet take 0.97 to 0.99 of the time."""
SAVED, PER_NUMBER, PER_WEIGHT = 1.3, 10, 200
"""What a product that falls away is worth, as those by windows take longer. In products, what a number of v_i and p
costs, and the part of a weight in U.
"""


def suits(geometry: Geometry, x: Array, w: Shape, y: Array) -> bool:
    """Whether that is faster, for arrays (N, C, H, W), (O, C / group, h, w) and (N, O, H', W') in any order."""
    return x.dtype == y.dtype == FLOAT and pays(geometry, x.shape, w, y.shape)


def pays(geometry: Geometry, x: Shape, w: Shape, y: Shape) -> bool:
    """The same for shapes of float32 arrays."""
    if len(x) != 4 or not can_do(geometry) or geometry.stride[1] != 1 or geometry.dilation[1] != 1:
        return False
    (num, channels, _, _), (_, outputs, high, columns) = x, y
    height, width = geometry.kernel
    in_tiles = -(-high // ROWS) * (height + ROWS - 1)
    numbers = num * in_tiles * columns * (channels * width + outputs)
    return SAVED * products_saved(w, y) > PER_NUMBER * numbers + PER_WEIGHT * math.prod(w)


def forward(x: Array, w: Array, b: Array | None, y: Array, geometry: Geometry) -> bool:
    """As conv_forward."""
    u = _filters(w, geometry)
    for images in _some(x, y):
        tiles = _Tiles(x[images], w.shape, y[images], geometry)
        rows, out = tiles.rows(x[images], "x"), tiles.room("y", y[images])
        for band in tiles.bands():
            v, p = tiles.values_of(rows, band), tiles.places(band)
            for i in range(tiles.count):
                np.matmul(u[i], tiles.unrolled(v, i), out=p[:, :, i])
            if b is not None:
                p[:, :, ONE] += b.reshape(*p.shape[:2], 1)
            np.matmul(band.a, p.reshape(len(out), band.a.shape[1], -1), out=out[:, band.made])
        if not is_finite(out):
            return False
        tiles.give(out, y[images])
    return True


def backward_weight(x: Array, dy: Array, dw: Array, db: Array | None, geometry: Geometry) -> bool:
    """As conv_backward_weight."""
    shape = len(matrices(dw.shape[2])[2]), *_shape_of_filters(dw.shape, geometry)
    du, product, ones = _memory("du", shape), _memory("product", shape[1:]), np.zeros(len(dw), FLOAT)
    for images in _some(x, dy):
        tiles = _Tiles(x[images], dw.shape, dy[images], geometry)
        rows, of_y = tiles.rows(x[images], "x"), tiles.rows(dy[images], "y")
        for band in tiles.bands():
            v, dp = tiles.values_of(rows, band), tiles.places_of(of_y, band)
            is_first = images.start == band.made.start == 0
            for i in range(tiles.count):
                to = du[i] if is_first else product
                np.matmul(dp[:, :, i], tiles.unrolled(v, i).swapaxes(1, 2), out=to)
                if to is product:
                    du[i] += product
            ones += dp[:, :, ONE].sum(axis=-1).reshape(-1)
    if not (is_finite(du) and is_finite(ones)):
        return False
    dw += _of_filters(du, dw.shape)
    if db is not None:
        db += ones
    return True


def backward_data(dy: Array, w: Array, dx: Array, geometry: Geometry) -> bool:
    """As conv_backward_data."""
    u = _filters(w, geometry).swapaxes(2, 3)
    for images in _some(dx, dy):
        tiles = _Tiles(dx[images], w.shape, dy[images], geometry)
        of_y, out = tiles.rows(dy[images], "y"), tiles.room("x", dx[images])
        for band in tiles.bands():
            dp, dv = tiles.places_of(of_y, band), tiles.values(band)
            dv.fill(0)
            for i in range(tiles.count):
                np.matmul(u[i], dp[:, :, i], out=tiles.unrolling(band))
                tiles.add(dv, i)
            rows = tiles.rows_of(dv, band)
            above, below = band.inside.start + band.shared, band.inside.stop
            out[:, band.inside.start : above] += rows[:, : band.shared]
            out[:, above:below] = rows[:, band.shared :]
        if not is_finite(out):
            return False
        tiles.give(out, dx[images])
    return True


def _some(x: Array, y: Array) -> Iterator[slice]:
    """The images, so many at a time that MOST numbers hold x, and y."""
    most = evenly(len(x), MOST // max(x[0].size, y[0].size))
    return (slice(i, min(i + most, len(x))) for i in range(0, len(x), most))


def _shape_of_filters(w: Shape, geometry: Geometry) -> Shape:
    """Of a U_i: (group, O / group, w C / group)."""
    return geometry.group, w[0] // geometry.group, w[3] * w[1]


def _filters(w: Array, geometry: Geometry) -> Array:
    """U: (n, group, O / group, w C / group)."""
    g = matrices(w.shape[2])[2]
    by_row = np.ascontiguousarray(w.transpose(2, 0, 3, 1)).reshape(w.shape[2], -1)
    u: Array = np.dot(g, by_row)
    return u.reshape(len(g), *_shape_of_filters(w.shape, geometry))


def _of_filters(du: Array, w: Shape) -> Array:
    """dw of dU."""
    outputs, inputs, height, width = w
    by_row: Array = np.dot(matrices(height)[2].T, du.reshape(len(du), -1))
    return by_row.reshape(height, outputs, width, inputs).transpose(1, 3, 0, 2)


class _OfThread(threading.local):
    """Memory by name that a thread works in, whichever layer's."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}


_of_thread = _OfThread()


def _memory(name: str, shape: Shape) -> Array:
    """Numbers of this thread's, of no value."""
    count, arrays = math.prod(shape), _of_thread.arrays
    if name not in arrays or arrays[name].size < count:
        arrays[name] = aligned(count, FLOAT)
    return arrays[name][:count].reshape(shape)


class _Tiles:
    """Those of one convolution, and the memory that it works in."""

    def __init__(self, x: Array, w: Shape, y: Array, geometry: Geometry) -> None:
        (self._num, _, x_rows, self._wide), (_, _, y_rows, self._columns) = x.shape, y.shape
        self._rows = TileRows(w[2], geometry.pad[0], x_rows, y_rows)
        self._group, self._kernel, self._pad = geometry.group, w[2:], geometry.pad[1]
        self._inputs, self._outputs = w[1], w[0] // geometry.group
        self._batch_last = self._num >= MIN_RUN and self._wide <= SHORT  # however they lie: rounding may depend on it
        self.count = self._rows.values
        """n."""
        self._depth = w[1] * w[3]

    def bands(self) -> Iterator[Band]:
        for first in range(0, self._rows.count, TOGETHER):
            yield self._rows.band(first, min(first + TOGETHER, self._rows.count))

    def rows(self, images: Array, name: str) -> Array:
        """(C, H, (N, W)) of (N, C, H, W), or (C, H, (W, N)): a view where they lie so."""
        view = images.transpose(self._order)
        if view.flags.c_contiguous:
            return view.reshape(*view.shape[:2], -1)
        rows = self.room(name, images)
        rows.reshape(view.shape)[...] = view
        return rows

    def room(self, name: str, images: Array) -> Array:
        """What `rows` gives, to be written: themselves, or memory for as much."""
        view = images.transpose(self._order)
        if view.flags.c_contiguous:
            return view.reshape(*view.shape[:2], -1)
        return _memory(name, (*view.shape[:2], view.shape[2] * view.shape[3]))

    def give(self, rows: Array, images: Array) -> None:
        """Write what was written to a room."""
        view = images.transpose(self._order)
        if not view.flags.c_contiguous:
            view[...] = rows.reshape(view.shape)

    @property
    def _order(self) -> Shape:
        return (1, 2, 3, 0) if self._batch_last else (1, 2, 0, 3)

    def values(self, band: Band) -> Array:
        """Memory for v: (group, C / group, n, tiles, *row)."""
        return _memory("v", (self._group, self._inputs, self.count, self._of(band), *self._row(self._wide)))

    def values_of(self, rows: Array, band: Band) -> Array:
        """v, of rows of x."""
        v = self.values(band)
        np.matmul(band.b, rows[:, band.inside], out=v.reshape(len(rows), len(band.b), -1))
        return v

    def rows_of(self, dv: Array, band: Band) -> Array:
        """The gradient of the rows of x, of that of v: (C, rows, (N, W))."""
        flat = dv.reshape(self._group * self._inputs, len(band.b), -1)
        rows = _memory("dx", (len(flat), band.b.shape[1], flat.shape[-1]))
        np.matmul(band.b.T, flat, out=rows)
        return rows

    def places(self, band: Band) -> Array:
        """Memory for p: (group, O / group, n, places of the tiles)."""
        places = self._of(band) * self._num * self._columns
        return _memory("p", (self._group, self._outputs, self.count, places))

    def places_of(self, dy: Array, band: Band) -> Array:
        """The gradient of p, of that of the rows of y."""
        dp = self.places(band)
        np.matmul(band.a.T, dy[:, band.made], out=dp.reshape(len(dy), len(band.b), -1))
        return dp

    def _of(self, band: Band) -> int:
        """How many tiles, one below the other."""
        return len(band.b) // self.count

    def unrolled(self, v: Array, i: int) -> Array:
        """v_i along the width."""
        value = v[:, :, i]
        flat, windows = self._windows(value.shape[2])
        for k in range(self._kernel[1]):
            here, there = self._seen(k)
            windows[:, k][self._columns_of(slice(here.start))] = 0
            windows[:, k][self._columns_of(slice(here.stop, None))] = 0
            windows[:, k][self._columns_of(here)] = value[self._columns_of(there)]
        return flat

    def unrolling(self, band: Band) -> Array:
        """Memory for what `add` takes."""
        return self._windows(self._of(band))[0]

    def add(self, v: Array, i: int) -> None:
        """Add what `unrolling` has to v_i, where it came from."""
        value = v[:, :, i]
        _, windows = self._windows(value.shape[2])
        for k in range(self._kernel[1]):
            here, there = self._seen(k)
            value[self._columns_of(there)] += windows[:, k][self._columns_of(here)]

    def _windows(self, tiles: int) -> tuple[Array, Array]:
        """Memory for a v_i, (group, w C / group, places), and the same as (group, w, C / group, tiles, *row)."""
        windows = _memory("u", (self._group, self._kernel[1], self._inputs, tiles, *self._row(self._columns)))
        return windows.reshape(self._group, self._depth, -1), windows

    def _seen(self, k: int) -> tuple[slice, slice]:
        """The columns of y that see x, not padding, through column k of the kernel; and those that they see."""
        start = min(max(0, self._pad - k), self._columns)
        stop = max(start, min(self._columns, self._wide + self._pad - k))
        return slice(start, stop), slice(start + k - self._pad, stop + k - self._pad)

    def _row(self, columns: int) -> Shape:
        return (columns, self._num) if self._batch_last else (self._num, columns)

    def _columns_of(self, columns: slice) -> tuple[Any, ...]:
        return (..., columns, slice(None)) if self._batch_last else (..., columns)
