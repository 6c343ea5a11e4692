"""Convolution of not too large images as matrix products: the whole batch side by side in each row of the matrices.

An image of a few hundred places makes thin matrices: products image by image (_im2col) are slow. Here the batch is the
innermost axis, which makes copies long runs, and only the kernel axes behind the first are unrolled. With x_h row h of
the input as a matrix ((C, rest of the kernel), (rest of the output, N)), and W_k the weights in row k of the kernel:

    y_o = b + Σ_k W_k x_h        dW_k += Σ_o dy_o x_hᵀ        dx_h = Σ_k W_kᵀ dy_o        where h = o · stride + k - pad

Rows follow each other in memory, so the sums over k are products as well: of [W_0 W_1 ...] with row o · stride - pad
and those behind it, cut where they leave the image; of the W_kᵀ in reverse with the rows dy_o that saw row h. A line of
ones under every x_h makes b one more column of a W_k that all y_o have, and db its gradient. The idea is that of MEC
(Cho and Brand, Memory-Efficient Convolution for Deep Neural Networks, 2017). dx_h is unrolled as x_h is: _overlap adds
it up to a row of dx.

x and y are (N, C, *spatial) whichever way they lie in memory; where the batch is innermost already (Blob.open), most of
the copies that put it there fall away.
"""

from __future__ import annotations

import math

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers._geometry import Geometry, Scratch
from pycaffe_lite.layers._image_rows import ImageRows, stacked
from pycaffe_lite.layers._overlap import overlapping

PRODUCTS_BYTES = 1 << 16  # of products that are then added up
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
    rows = ImageRows(x, y, w, geometry, scratch, ones=b is not None)
    weights = _side_by_side(rows, w, b)
    for images in rows.tiles():
        unrolled = rows.unroll(x, images)
        view = rows.channels_first(y, images)
        direct = view.flags.c_contiguous
        out = view if direct else rows.room("y", view.shape, images, y)
        places = out.reshape(*view.shape[:3], -1)
        by_row = places.swapaxes(1, 2)
        for some, kernel in rows.alike():
            np.matmul(weights[:, np.newaxis, :, kernel], rows.seen(unrolled, some), out=by_row[:, some])
        if b is not None and rows.always is None:
            places += b.reshape(rows.group, -1, 1, 1)
        if not direct:
            view[...] = out


def _side_by_side(rows: ImageRows, w: Array, b: Array | None) -> Array:
    """[W_0 W_1 ...] for each group, with b as one column more of W_always."""
    of_rows = rows.by_kernel_row(w).swapaxes(2, 3)
    weights = np.zeros((*of_rows.shape[:3], rows.lines), w.dtype)
    weights[..., : rows.depth].reshape(of_rows.shape)[...] = of_rows
    if b is not None and rows.always is not None:
        weights[:, :, rows.always, rows.depth] = b.reshape(rows.group, -1)
    return weights.reshape(rows.group, rows.outputs, -1)


def backward_weight(
    x: Array, dy: Array, dw: Array, db: Array | None, geometry: Geometry, scratch: Scratch, same_x: bool = False
) -> None:
    """As conv_backward_weight."""
    rows = ImageRows(x, dy, dw, geometry, scratch, ones=db is not None)
    total = scratch("total", (rows.group, geometry.kernel[0] * rows.lines, rows.outputs), dw.dtype)
    total.fill(0)
    at_once = min(rows.y_rows, max(1, PRODUCTS_BYTES // total.nbytes))
    products = scratch("products", (rows.group, at_once, *total.shape[1:]), dw.dtype)
    for images in rows.tiles():
        unrolled = rows.unroll(x, images, same_x)
        places = rows.innermost_channels(dy, images)
        for some, kernel in rows.alike():
            seen, right, here = rows.seen(unrolled, some), places[:, some], total[:, kernel]
            for o in range(0, seen.shape[1], at_once):
                left = seen[:, o : o + at_once]
                out = products[:, : left.shape[1], kernel]
                np.matmul(left, right[:, o : o + at_once], out=out)
                for i in range(out.shape[1]):
                    np.add(here, out[:, i], out=here)
        if db is not None and rows.always is None:
            db += np.einsum("gopm->gm", places).reshape(-1)
    by_row = total.reshape(rows.group, geometry.kernel[0], rows.lines, rows.outputs)
    of_weights = by_row[:, :, : rows.depth].reshape(rows.group, geometry.kernel[0], rows.inputs, -1, rows.outputs)
    gradient = rows.by_kernel_row(dw)
    gradient += of_weights.transpose(0, 4, 2, 1, 3)
    if db is not None and rows.always is not None:
        db += by_row[:, rows.always, rows.depth].reshape(-1)


def backward_data(dy: Array, w: Array, dx: Array, geometry: Geometry, scratch: Scratch) -> None:
    """As conv_backward_data."""
    rows = ImageRows(dx, dy, w, geometry, scratch)
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
        windows = overlapping(rows, dx, images)
        for h in range(rows.x_rows):
            last, phase = divmod(h + pad, stride)
            first = last + 1 - taps[phase]
            start = min(max(first, 0), rows.y_rows)
            stop = max(start, min(last + 1, rows.y_rows))
            kernel = slice((start - first) * rows.outputs, (stop - first) * rows.outputs)
            np.matmul(weights[phase][..., kernel], stacked(places[:, start:stop]), out=windows.row)
            windows.add_up(h)
        windows.finish()
