"""Convolution of not too large images as matrix products: the whole batch side by side in each row of the matrices.

An image of a few hundred places makes thin matrices: products image by image (_im2col) are slow. Here the batch is the
innermost axis, which makes copies long runs, and only the kernel axes behind the first are unrolled. With x_h row h of
the input as a matrix ((C, rest of the kernel), (rest of the output, N)), and W_k the weights in row k of the kernel:

    y_o = b + Σ_k W_k x_h        dW_k += Σ_o dy_o x_hᵀ        dx_h = Σ_k W_kᵀ dy_o        where h = o · stride + k - pad

Rows follow each other in memory, so the sums over k are products as well: of [W_0 W_1 ...] with row o · stride - pad
and those behind it, cut where they leave the image; of the W_kᵀ in reverse with the rows dy_o that saw row h. The
idea is that of MEC (Cho and Brand, Memory-Efficient Convolution for Deep Neural Networks, 2017).

x and y are (N, C, *spatial) whichever way they lie in memory; where the batch is innermost already (Blob.open), most of
the copies that put it there fall away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import batch_innermost
from pycaffe_lite.layers._geometry import Geometry, Scratch, evenly, work

TILE_BYTES = 5 << 18  # of rows x: about the second-level cache of a core
# Where the batch is innermost already: so many items make runs long enough to copy; a whole batch saves a copy.
TILE_ITEMS, WHOLE_BYTES = 32, 4 << 20
MIN_COLUMNS = 128  # that a product needs to run at speed, whatever the cache
# Where the way pays. The depth is that of one row x_h: below, more time goes into calls than into products, which other
# layers make good where y stays with the batch innermost.
MAX_PLACES, MIN_DEPTH, MIN_DEPTH_INNERMOST, MIN_ALL_COLUMNS = 1024, 32, 4, 32


def suits(geometry: Geometry, w: Shape, y: Shape, innermost: bool = False) -> bool:
    """For shapes w and y, y with the batch innermost in memory or not: whether this way is the faster, and possible.
    Rows seen by a dilated kernel do not follow each other.
    """
    return (
        geometry.dilation[0] == 1
        and not geometry.pointwise
        and 1 < y[2] <= math.prod(y[2:]) <= MAX_PLACES
        and math.prod(w[1:]) // geometry.kernel[0] >= (MIN_DEPTH_INNERMOST if innermost else MIN_DEPTH)
        and y[0] * math.prod(y[3:]) >= MIN_ALL_COLUMNS
    )


def forward(x: Array, w: Array, b: Array | None, y: Array, geometry: Geometry, scratch: Scratch) -> None:
    """As conv_forward."""
    rows = _Rows(x, y, w, geometry, scratch)
    weights = rows.by_kernel_row(w).swapaxes(2, 3).reshape(rows.group, rows.outputs, -1)
    for images in rows.tiles():
        unrolled = rows.unroll(x, images)
        view = rows.channels_first(y, images)
        direct = view.flags.c_contiguous
        out = view if direct else rows.room("y", view.shape, images, y)
        places = out.reshape(*view.shape[:3], -1)
        for o in range(rows.y_rows):
            seen, kernel = rows.seen(o)
            np.matmul(weights[..., kernel], _stacked(unrolled[:, seen]), out=places[:, :, o])
        if b is not None:
            places += b.reshape(rows.group, -1, 1, 1)
        if not direct:
            view[...] = out


def backward_weight(
    x: Array, dy: Array, dw: Array, db: Array | None, geometry: Geometry, scratch: Scratch, same_x: bool = False
) -> None:
    """As conv_backward_weight."""
    rows = _Rows(x, dy, dw, geometry, scratch)
    total = scratch("total", (rows.group, geometry.kernel[0] * rows.depth, rows.outputs), dw.dtype)
    total.fill(0)
    product = scratch("product", total.shape, dw.dtype)
    for images in rows.tiles():
        unrolled = rows.unroll(x, images, same_x)
        places = rows.innermost_channels(dy, images)
        for o in range(rows.y_rows):
            seen, kernel = rows.seen(o)
            total[:, kernel] += np.matmul(_stacked(unrolled[:, seen]), places[:, o], out=product[:, kernel])
        if db is not None:
            db += places.sum(axis=(1, 2)).reshape(-1)
    gradient = rows.by_kernel_row(dw)
    gradient += total.reshape(rows.group, geometry.kernel[0], rows.inputs, -1, rows.outputs).transpose(0, 4, 2, 1, 3)


def backward_data(dy: Array, w: Array, dx: Array, geometry: Geometry, scratch: Scratch) -> None:
    """As conv_backward_data."""
    rows = _Rows(dx, dy, w, geometry, scratch)
    stride, pad = geometry.stride[0], geometry.pad[0]
    # Row h was seen through the kernel rows k = h + pad - o · stride: every stride-th, the larger o the smaller k.
    by_row = rows.by_kernel_row(w)
    weights, taps = [], []
    for phase in range(stride):
        some = by_row[:, :, :, phase::stride][:, :, :, ::-1]
        taps.append(some.shape[3])
        weights.append(some.transpose(0, 2, 4, 3, 1).reshape(rows.group, rows.depth, some.shape[3] * rows.outputs))
    for images in rows.tiles():
        places = rows.innermost_batch(dy, images)
        unrolled = rows.room("rows", (rows.group, rows.x_rows, rows.depth, places.shape[-1]), images, dx)
        for h in range(rows.x_rows):
            last, phase = divmod(h + pad, stride)
            first = last + 1 - taps[phase]
            start = min(max(first, 0), rows.y_rows)
            stop = max(start, min(last + 1, rows.y_rows))
            kernel = slice((start - first) * rows.outputs, (stop - first) * rows.outputs)
            np.matmul(weights[phase][..., kernel], _stacked(places[:, start:stop]), out=unrolled[:, h])
        rows.fold(unrolled, dx, images)


class _Rows:
    """The rows of one convolution's input and output, for a tile of its images at a time."""

    def __init__(self, x: Array, y: Array, w: Array, geometry: Geometry, scratch: Scratch) -> None:
        self._geometry, self._scratch, self._num = geometry, scratch, len(x)
        self.group = geometry.group
        self.inputs, self.outputs = w.shape[1], len(w) // geometry.group
        self.depth = w[0].size // geometry.kernel[0]
        self.x_rows, self.y_rows, self._rest = x.shape[2], y.shape[2], y.shape[3:]
        columns = math.prod(self._rest)
        per_image = self.group * self.x_rows * self.depth * columns * x.itemsize
        most = max(TILE_BYTES // per_image, -(-MIN_COLUMNS // columns))
        if batch_innermost(y):
            most = self._num if self._num * per_image <= WHOLE_BYTES else max(most, TILE_ITEMS)
        self._images = evenly(self._num, most)

    def tiles(self) -> Iterator[slice]:
        for i in range(0, self._num, self._images):
            yield slice(i, min(i + self._images, self._num))

    def seen(self, o: int) -> tuple[slice, slice]:
        """The rows of x that row o of the output sees; and where their weights are."""
        g = self._geometry
        first = o * g.stride[0] - g.pad[0]
        start = min(max(first, 0), self.x_rows)
        stop = max(start, min(first + g.kernel[0], self.x_rows))
        return slice(start, stop), slice((start - first) * self.depth, (stop - first) * self.depth)

    def room(self, name: str, shape: Shape, images: slice, like: Array) -> Array:
        most = math.prod(shape) // (images.stop - images.start) * self._images
        return work(self._scratch, name, most, shape, like.dtype)

    def channels_first(self, y: Array, images: slice) -> Array:
        """(N, C, rows, *rest) as a view (group, C / group, rows, *rest, N)."""
        by_group = y[images].reshape(images.stop - images.start, self.group, -1, *y.shape[2:])
        return np.moveaxis(by_group, 0, -1)

    def innermost_batch(self, y: Array, images: slice) -> Array:
        """(N, C, rows, *rest) as (group, rows, C / group, (rest, N))."""
        view = self._batch_last(y[images])
        out = self.room("y", view.shape, images, y)
        out[...] = view
        return out.reshape(*view.shape[:3], -1)

    def innermost_channels(self, y: Array, images: slice) -> Array:
        """(N, C, rows, *rest) as (group, rows, (rest, N), C / group): faster as the right factor of a product."""
        places = self.channels_first(y, images)
        if places.flags.c_contiguous:
            return places.reshape(*places.shape[:3], -1).transpose(0, 2, 3, 1)  # as fast, and there already
        view = np.moveaxis(self._batch_last(y[images]), 2, -1)
        out = self.room("y", view.shape, images, y)
        out[...] = view
        return out.reshape(*view.shape[:2], -1, view.shape[-1])

    def unroll(self, x: Array, images: slice, same_x: bool = False) -> Array:
        """(N, C, rows, *rest) as (group, rows, (C / group, rest of the kernel), (rest of the output, N)).

        same_x: the last call was for this x, too. Then the work is done already, if the tile is the whole batch.
        """
        view = self._batch_last(x[images])
        shape = (*view.shape[:3], *self._geometry.kernel[1:], *self._rest, view.shape[-1])
        out = self.room("rows", shape, images, x)
        unrolled = out.reshape(self.group, self.x_rows, self.depth, -1)
        if same_x and self._images == self._num:
            return unrolled
        pad = self._pads_rest()
        if pad or not batch_innermost(x):
            padded, inside = self._padded(view.shape, images, x)
            if pad:
                padded.fill(0)
            inside[...] = view
        else:
            padded = view
        out[...] = self._geometry.view(padded, 3, self._rest)
        return unrolled

    def fold(self, unrolled: Array, dx: Array, images: slice) -> None:
        """The transpose of unroll: dx becomes, place by place, the sum of what the rows hold of it."""
        view = self._batch_last(dx[images])
        direct = batch_innermost(dx) and not self._pads_rest()
        padded, inside = (view, view) if direct else self._padded(view.shape, images, dx)
        padded.fill(0)
        windows = self._geometry.view(padded, 3, self._rest)
        unrolled = unrolled.reshape(windows.shape)
        for k in np.ndindex(*self._geometry.kernel[1:]):
            windows[(slice(None),) * 3 + k] += unrolled[(slice(None),) * 3 + k]
        if not direct:
            view[...] = inside

    def _pads_rest(self) -> bool:
        return any(self._geometry.pad[1:]) or any(self._geometry.far[1:])

    def by_kernel_row(self, w: Array) -> Array:
        """(group, M / group, C / group, rows, rest) of the weights: a view."""
        return w.reshape(self.group, self.outputs, self.inputs, self._geometry.kernel[0], self.depth // self.inputs)

    def _padded(self, shape: Shape, images: slice, like: Array) -> tuple[Array, Array]:
        """Memory for rows with the padding of all axes but the first around them; and a view of it without."""
        pad = self._geometry.pad[1:]
        spatial = self._geometry.padded((0, *shape[3:-1]))[1:]
        padded = self.room("padded", (*shape[:3], *spatial, shape[-1]), images, like)
        inside = (slice(p, p + n) for n, p in zip(shape[3:], pad, strict=False))
        return padded, padded[(slice(None),) * 3 + tuple(inside)]

    def _batch_last(self, a: Array) -> Array:
        """(N, C, rows, *rest) as a view (group, rows, C / group, *rest, N)."""
        by_group = a.reshape(len(a), self.group, -1, *a.shape[2:])
        return by_group.transpose(1, 3, 2, *range(4, by_group.ndim), 0)


def _stacked(rows: Array) -> Array:
    """(group, rows, m, n) as (group, rows · m, n): a view where the rows follow each other."""
    group, count, m, n = rows.shape
    return rows.reshape(group, count * m, n)
