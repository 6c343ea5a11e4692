"""Max pooling in windows of 2 by 2 that lie side by side, the batch innermost: what most small networks do.

Each window sees one place in each quarter of the image: even or odd row, even or odd column. numpy copies runs of one
batch fast but computes with them slowly, so each quarter is copied into one piece first, and gradients are computed in
pieces and then copied out.

Arrays are (C, H, W, N), H and W even; top, `below` and `right` (C, H / 2, W / 2, N). Of equal values the first wins,
row by row.
"""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._geometry import PoolGeometry, Scratch, work

_EVEN, _ODD = slice(0, None, 2), slice(1, None, 2)
UP_LEFT, UP_RIGHT = (slice(None), _EVEN, _EVEN), (slice(None), _EVEN, _ODD)
LOW_LEFT, LOW_RIGHT = (slice(None), _ODD, _EVEN), (slice(None), _ODD, _ODD)


def suits(geometry: PoolGeometry, height: int, width: int) -> bool:
    """Whether images of this size are cut into such windows."""
    two = (2, 2)
    return geometry.kernel == geometry.stride == two and not any(geometry.pad) and height % 2 == width % 2 == 0


def take(x: Array, y: Array, below: Array, right: Array, scratch: Scratch, most: int) -> None:
    """Set y to the maxima, NaN where a window sees one; below and right (int8) to -1 where the first of them lies in
    the window's second row, second column, else to 0. `most`: the largest size of y there will be.
    """
    upper, lower, other = work(scratch, "quarters", 3 * most, (3, *y.shape), y.dtype)
    upper[...], other[...] = x[UP_LEFT], x[UP_RIGHT]
    in_upper = np.greater(other, upper, out=right.view(np.bool_))
    np.maximum(upper, other, out=upper)
    lower[...], other[...] = x[LOW_LEFT], x[LOW_RIGHT]
    in_lower = np.greater(other, lower, out=work(scratch, "in lower", most, y.shape, np.bool_))
    np.maximum(lower, other, out=lower)
    np.greater(lower, upper, out=below.view(np.bool_))
    np.maximum(upper, lower, out=y)
    # in_upper = in_lower where below
    in_lower ^= in_upper
    in_lower &= below.view(np.bool_)
    in_upper ^= in_lower
    np.negative(below, out=below)
    np.negative(right, out=right)


def give(dy: Array, below: Array, right: Array, dx: Array, scratch: Scratch, most: int) -> None:
    """Set dx: dy at the place that won, else 0. Bits are masked: 0 times infinity is not 0."""
    bits = np.dtype(f"i{dy.itemsize}")
    upper, lower, other, mask = work(scratch, "quarters of bits", 4 * most, (4, *dy.shape), bits)
    dx, dy = dx.view(bits), dy.view(bits)
    mask[...] = below
    np.bitwise_and(dy, mask, out=lower)
    np.bitwise_xor(dy, lower, out=upper)
    mask[...] = right
    for row, in_left, in_right in ((lower, LOW_LEFT, LOW_RIGHT), (upper, UP_LEFT, UP_RIGHT)):
        np.bitwise_and(row, mask, out=other)
        row ^= other
        dx[in_left], dx[in_right] = row, other
