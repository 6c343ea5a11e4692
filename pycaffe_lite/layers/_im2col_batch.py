"""Convolution of not too large images as matrix products: the whole batch side by side in each row of the matrices.

An image of a few hundred places makes thin matrices: products image by image (_im2col) are slow. Here the batch is the
innermost axis, which makes copies long runs, and only the kernel axes behind the first are unrolled. With x_h row h of
the input as a matrix ((C, rest of the kernel), (rest of the output, N)), and W_k the weights in row k of the kernel:

    y_o = b + Σ_k W_k x_h        dW_k = Σ_o dy_o x_hᵀ        dx_h = Σ_k W_kᵀ dy_o        where h = o · stride + k - pad

Row h is seen by rows o that follow each other, so all that happens to it is one product: with the W_k on top of each
other, largest k first, which is added to these rows y_o; of these dy_o with x_hᵀ, which is added to the dW_k; of the
W_kᵀ side by side with these dy_o. BLAS likes all of them better than products for each k, or for each o: they are
larger, and one unrolled row at a time stays in a core's cache. Unrolling only one axis is the idea of MEC (Cho and
Brand, Memory-Efficient Convolution for Deep Neural Networks, 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers._geometry import Geometry, Scratch, evenly, work

TILE_BYTES = 3 << 18  # of a row x and its product: most of the second-level cache of a core
MIN_COLUMNS = 128  # that a product needs to run at speed, whatever the cache
# Where the way pays. The depth is that of one row x_h: below, more time goes into calls than into products.
MAX_PLACES, MIN_DEPTH, MIN_ALL_COLUMNS = 1024, 32, 32


def suits(geometry: Geometry, w: Array, y: Array) -> bool:
    """Whether this way is the faster, and possible: rows seen by a dilated kernel do not follow each other."""
    return (
        geometry.dilation[0] == 1
        and not geometry.pointwise
        and 1 < y.shape[2] <= math.prod(y.shape[2:]) <= MAX_PLACES
        and w[0].size // geometry.kernel[0] >= MIN_DEPTH
        and y.size // (y.shape[1] * y.shape[2]) >= MIN_ALL_COLUMNS
    )


def forward(x: Array, w: Array, b: Array | None, y: Array, geometry: Geometry, scratch: Scratch) -> None:
    """As conv_forward."""
    rows = _Rows(x, y, w, geometry, scratch)
    weights = rows.stack(w)
    for images in rows.tiles():
        windows = rows.windows(rows.padded(x, images))
        out = rows.room("y", (rows.group, rows.outputs, rows.y_rows, rows.columns(images)), images, y)
        out[...] = 0 if b is None else b.reshape(rows.group, -1, 1, 1)
        products = rows.room("product", (rows.group, weights.shape[1], out.shape[-1]), images, y)
        for h in range(rows.x_rows):
            seen_by, kernel = rows.seen_by(h)
            product = np.matmul(weights[:, kernel], rows.unroll(windows[:, h], images), out=products[:, kernel])
            out[:, :, seen_by] += product.reshape(rows.group, -1, rows.outputs, out.shape[-1]).swapaxes(1, 2)
        flat = y[images].reshape(images.stop - images.start, -1)
        flat[...] = out.reshape(flat.shape[1], -1).T


def backward_weight(x: Array, dy: Array, dw: Array, db: Array | None, geometry: Geometry, scratch: Scratch) -> None:
    """As conv_backward_weight."""
    rows = _Rows(x, dy, dw, geometry, scratch)
    total = scratch("total", (rows.group, geometry.kernel[0] * rows.outputs, rows.depth), dw.dtype)
    total.fill(0)
    products = scratch("products", total.shape, dw.dtype)
    for images in rows.tiles():
        windows = rows.windows(rows.padded(x, images))
        places = rows.innermost_batch(dy, images)
        for h in range(rows.x_rows):
            seen_by, kernel = rows.seen_by(h)
            transposed = rows.unroll(windows[:, h], images).swapaxes(1, 2)
            total[:, kernel] += np.matmul(_stacked(places[:, seen_by]), transposed, out=products[:, kernel])
        if db is not None:
            db += places.sum(axis=(1, 3)).reshape(-1)
    rows.add_stacked(total, dw)


def backward_data(dy: Array, w: Array, dx: Array, geometry: Geometry, scratch: Scratch) -> None:
    """As conv_backward_data."""
    rows = _Rows(dx, dy, w, geometry, scratch)
    weights = rows.stack(w).swapaxes(1, 2)
    for images in rows.tiles():
        places = rows.innermost_batch(dy, images)
        padded, inside = rows.room_for_padded(dx, images)
        padded.fill(0)
        windows = rows.windows(padded)
        unrolled = rows.room("row", (rows.group, rows.depth, places.shape[-1]), images, dx)
        by_window = unrolled.reshape(windows[:, 0].shape)
        for h in range(rows.x_rows):
            seen_by, kernel = rows.seen_by(h)
            np.matmul(weights[..., kernel], _stacked(places[:, seen_by]), out=unrolled)
            for k in np.ndindex(*geometry.kernel[1:]):
                windows[(slice(None), h, slice(None), *k)] += by_window[(slice(None), slice(None), *k)]
        rows.batch_last(dx[images])[...] = inside


class _Rows:
    """The rows of one convolution's input and output, for a tile of its images at a time."""

    def __init__(self, x: Array, y: Array, w: Array, geometry: Geometry, scratch: Scratch) -> None:
        self._geometry, self._scratch, self._num = geometry, scratch, len(x)
        self.group = geometry.group
        self.inputs, self.outputs = w.shape[1], len(w) // geometry.group
        self.depth = w[0].size // geometry.kernel[0]
        self.x_rows, self.y_rows, self._rest = x.shape[2], y.shape[2], y.shape[3:]
        # Every stride-th row k of the kernel sees row h, the larger o the smaller k.
        stride, rows = geometry.stride[0], range(geometry.kernel[0])
        self._phases = [rows[phase::stride][::-1] for phase in range(stride)]
        self._order = [k for phase in self._phases for k in phase]
        per_column = self.group * (self.depth + geometry.kernel[0] * self.outputs) * x.itemsize
        most = max(TILE_BYTES // per_column, MIN_COLUMNS)
        self._images = evenly(self._num, -(-most // math.prod(self._rest)))

    def tiles(self) -> Iterator[slice]:
        for i in range(0, self._num, self._images):
            yield slice(i, min(i + self._images, self._num))

    def columns(self, images: slice) -> int:
        return math.prod(self._rest) * (images.stop - images.start)

    def stack(self, w: Array) -> Array:
        """The W_k on top of each other: (group, rows of the kernel · M / group, depth)."""
        in_order = self._by_kernel_row(w)[:, :, :, self._order].transpose(0, 3, 1, 2, 4)
        return in_order.reshape(self.group, -1, self.depth)

    def add_stacked(self, total: Array, dw: Array) -> None:
        """The transpose of stack: dw += total."""
        in_order = total.reshape(self.group, len(self._order), self.outputs, self.inputs, -1)
        self._by_kernel_row(dw)[:, :, :, self._order] += in_order.transpose(0, 2, 3, 1, 4)

    def seen_by(self, h: int) -> tuple[slice, slice]:
        """The rows of y that see row h; and where their weights are in the stack."""
        last, phase = divmod(h + self._geometry.pad[0], self._geometry.stride[0])
        first = last + 1 - len(self._phases[phase])
        start = min(max(first, 0), self.y_rows)
        stop = max(start, min(last + 1, self.y_rows))
        begin = sum(map(len, self._phases[:phase])) - first
        return slice(start, stop), slice((begin + start) * self.outputs, (begin + stop) * self.outputs)

    def room(self, name: str, shape: Shape, images: slice, like: Array) -> Array:
        most = math.prod(shape) // (images.stop - images.start) * self._images
        return work(self._scratch, name, most, shape, like.dtype)

    def room_for_padded(self, like: Array, images: slice) -> tuple[Array, Array]:
        """Memory for rows with the padding of all axes but the first around them; and a view of it without."""
        shape, pad = self.batch_last(like[images]).shape, self._geometry.pad[1:]
        spatial = tuple(n + 2 * p for n, p in zip(shape[3:], pad, strict=False))
        padded = self.room("padded", (*shape[:3], *spatial, shape[-1]), images, like)
        inside = (slice(p, p + n) for n, p in zip(shape[3:], pad, strict=False))
        return padded, padded[(slice(None),) * 3 + tuple(inside)]

    def padded(self, x: Array, images: slice) -> Array:
        """(N, C, rows, *rest) as (group, rows, C / group, *padded rest, N)."""
        padded, inside = self.room_for_padded(x, images)
        if any(self._geometry.pad[1:]):
            padded.fill(0)
        inside[...] = self.batch_last(x[images])
        return padded

    def windows(self, padded: Array) -> Array:
        """What each window sees: (group, rows, C / group, *rest of the kernel, *rest of the output, N), a view."""
        return self._geometry.view(padded, 3, self._rest)

    def unroll(self, windows: Array, images: slice) -> Array:
        """x_h, (group, (C / group, rest of the kernel), (rest of the output, N)), of the windows in row h."""
        out = self.room("row", windows.shape, images, windows)
        out[...] = windows
        return out.reshape(self.group, self.depth, -1)

    def innermost_batch(self, y: Array, images: slice) -> Array:
        """(N, C, rows, *rest) as (group, rows, C / group, (rest, N))."""
        view = self.batch_last(y[images])
        out = self.room("y", view.shape, images, y)
        out[...] = view
        return out.reshape(*view.shape[:3], -1)

    def batch_last(self, a: Array) -> Array:
        """(N, C, rows, *rest) as a view (group, rows, C / group, *rest, N)."""
        by_group = a.reshape(len(a), self.group, -1, *a.shape[2:])
        return by_group.transpose(1, 3, 2, *range(4, by_group.ndim), 0)

    def _by_kernel_row(self, w: Array) -> Array:
        """(group, M / group, C / group, rows, rest) of the weights: a view."""
        return w.reshape(self.group, self.outputs, self.inputs, self._geometry.kernel[0], self.depth // self.inputs)


def _stacked(rows: Array) -> Array:
    """(group, rows, m, n) as (group, rows · m, n): a view where the rows follow each other."""
    group, count, m, n = rows.shape
    return rows.reshape(group, count * m, n)
