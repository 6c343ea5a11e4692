"""Pooling where the batch is the innermost axis: one spatial axis after the other, every loop over long runs.

The maximum of a window is the maximum of its rows' maxima, its sum the sum of its columns' sums. Maxima go first along
the width, then along the height: the first of equal values wins both times, which is the first row by row, as in Caffe.

Arrays are (N, C, H, W) with N innermost in memory, those of floats of one dtype. Loops run over tiles of channels, so
that what lies between stays in a core's cache. Maxima of windows of 2 by 2 have a file of their own, _pool_2x2.
"""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers import _pool_2x2
from pycaffe_lite.layers._geometry import PoolGeometry, Scratch, batch_last, evenly, hits, work
from pycaffe_lite.layers._tiles import Tile, over_tiles
from pycaffe_lite.layers._window import LOWEST, areas

TILE_BYTES = 3 << 18  # of the bottom
MAX_KERNEL = 127  # what the winners' type can number
DOWN, ACROSS = 1, 2  # the spatial axes, of (C, H, W, N)


def max_forward(x: Array, y: Array, geometry: PoolGeometry, scratch: Scratch) -> bool:
    """As _window.max_pool_forward. The winners stay in scratch for max_backward, which wants the answer: True if every
    window surely has one.
    """
    pool = _Pool(x, y, geometry, scratch)
    pool.set_maxima(pool.source)
    if not y.size or pool.result.min() > LOWEST:
        return True
    # NaN, which never wins, or windows that see nothing higher.
    pool.set_maxima(np.fmax(pool.source, x.dtype.type(LOWEST)))
    np.greater(pool.result, LOWEST, out=pool.won())
    return False


def max_backward(dy: Array, dx: Array, all_won: bool, geometry: PoolGeometry, scratch: Scratch) -> None:
    """As _window.max_pool_backward, after max_forward on arrays of these shapes, which gave all_won."""
    pool = _Pool(dx, dy, geometry, scratch)
    won = None if all_won else pool.won()

    def give(channels: slice, scratch: Scratch) -> None:
        dy, dx = pool.result[channels], pool.source[channels]
        if won is not None:
            dy = np.where(won[channels], dy, dy.dtype.type(0))
        if pool.by_quarters:
            _pool_2x2.give(dy, pool.row[channels], pool.column[channels], dx, scratch, pool.quarter)
            return
        partial = pool.partial(dy.shape[0], dx.shape[1], dy.shape[2], scratch)
        _give(dy, pool.row[channels], partial, pool.hits(DOWN), DOWN, scratch)
        _give(partial, pool.column[channels], dx, pool.hits(ACROSS), ACROSS, scratch)

    pool.over_tiles(give)


def ave_forward(x: Array, y: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    """As _window.ave_pool_forward."""
    pool, area = _Pool(x, y, geometry, scratch), areas(geometry, x, y)[..., np.newaxis]

    def mean(channels: slice, scratch: Scratch) -> None:
        source, sums = pool.source[channels], pool.result[channels]
        partial = pool.partial(source.shape[0], sums.shape[1], source.shape[2], scratch)
        partial.fill(0)
        for o, h in pool.hits(DOWN):
            partial[:, o] += source[:, h]
        sums.fill(0)
        for p, w in pool.hits(ACROSS):
            sums[:, :, p] += partial[:, :, w]
        sums /= area

    pool.over_tiles(mean)


def ave_backward(dy: Array, dx: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    """As _window.ave_pool_backward."""
    pool, area = _Pool(dx, dy, geometry, scratch), areas(geometry, dx, dy)[..., np.newaxis]

    def share_out(channels: slice, scratch: Scratch) -> None:
        shares, sums = pool.result[channels] / area, pool.source[channels]
        partial = pool.partial(sums.shape[0], shares.shape[1], sums.shape[2], scratch)
        partial.fill(0)
        for p, w in pool.hits(ACROSS):
            partial[:, :, w] += shares[:, :, p]
        sums.fill(0)
        for o, h in pool.hits(DOWN):
            sums[:, h] += partial[:, o]

    pool.over_tiles(share_out)


class _Pool:
    """One pooling's bottom and top as (C, H, W, N), and the memory between them."""

    def __init__(self, bottom: Array, top: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
        self.source, self.result = batch_last(bottom), batch_last(top)
        self._geometry, self._scratch = geometry, scratch
        channels, height, width, num = self.source.shape
        _, down, across, _ = self.result.shape
        self._step = evenly(channels, TILE_BYTES // max(1, height * width * num * bottom.itemsize))
        self._most = self._step * num * max(height * across, down * width)
        self.by_quarters = _pool_2x2.suits(geometry, height, width)
        self.quarter = self._step * down * across * num
        rows = down if self.by_quarters else height
        self.column = scratch("column", (channels, rows, across, num), np.int8)
        self.row = scratch("row", (channels, down, across, num), np.int8)

    def over_tiles(self, tile: Tile) -> None:
        """Call `tile` for some channels after another."""
        over_tiles(tile, len(self.source), self._step, self.source.nbytes, self._scratch)

    def partial(self, channels: int, height: int, width: int, scratch: Scratch) -> Array:
        """(channels, height, width, N) between the two axes' turns."""
        shape = channels, height, width, self.source.shape[3]
        return work(scratch, "partial", self._most, shape, self.source.dtype)

    def won(self) -> Array:
        """Whether a window has a maximum: only where not all have."""
        return self._scratch("won", self.result.shape, np.bool_)

    def hits(self, axis: int) -> list[tuple[slice, slice]]:
        """For each offset of the kernel along an axis: the windows that see something there, and what."""
        g, size, count = self._geometry, self.source.shape[axis], self.result.shape[axis]
        kernel, stride, pad = g.kernel[axis - 1], g.stride[axis - 1], g.pad[axis - 1]
        return [hits(k, stride, pad, size, count) for k in range(kernel)]

    def set_maxima(self, source: Array) -> None:
        def take(channels: slice, scratch: Scratch) -> None:
            x, y = source[channels], self.result[channels]
            if self.by_quarters:
                row, column = self.row[channels], self.column[channels]
                _pool_2x2.take(x, y, row, column, scratch, self.quarter)
                return
            partial = self.partial(len(x), x.shape[1], y.shape[2], scratch)
            _take(x, partial, self.column[channels], self.hits(ACROSS), ACROSS, scratch)
            _take(partial, y, self.row[channels], self.hits(DOWN), DOWN, scratch)

        self.over_tiles(take)


def _take(x: Array, y: Array, winner: Array, offsets: list[tuple[slice, slice]], axis: int, scratch: Scratch) -> None:
    """Set y to the maxima along an axis of x, NaN where a window sees one, and winner to the offset of the first."""
    everywhere = slice(0, y.shape[axis])
    first = 0
    if [o for o, _ in offsets[:2]] == [everywhere] * 2:
        before, behind = (x[_along(axis, place)] for _, place in offsets[:2])
        np.greater(behind, before, out=winner.view(np.bool_))
        np.maximum(before, behind, out=y)
        first = 2
    else:
        y.fill(LOWEST)
        winner.fill(0)
    for number, (window, place) in enumerate(offsets[first:], start=first):
        seen, so_far, last = x[_along(axis, place)], y[_along(axis, window)], winner[_along(axis, window)]
        rises = work(scratch, "rises", y.size, so_far.shape, np.bool_)
        np.greater(seen, so_far, out=rises)
        # Of all that rose in their turn the last one wins, and it has the largest number.
        np.maximum(last, rises.view(np.int8) * np.int8(number), out=last)
        np.maximum(so_far, seen, out=so_far)


def _give(dy: Array, winner: Array, dx: Array, offsets: list[tuple[slice, slice]], axis: int, scratch: Scratch) -> None:
    """Set dx along an axis: every dy is added at the offset that won. Bits are masked: 0 times infinity is not 0."""
    bits = np.dtype(f"i{dy.itemsize}")
    everywhere, size = slice(0, dy.shape[axis]), dx.shape[axis]
    mask = work(scratch, "mask", dy.size, dy.shape, bits)
    if [o for o, _ in offsets] == [everywhere] * 2 and 2 * dy.shape[axis] == size:
        before, behind = (dx.view(bits)[_along(axis, place)] for _, place in offsets)
        np.subtract(0, winner, out=mask, dtype=bits)
        np.bitwise_and(dy.view(bits), mask, out=behind)
        np.bitwise_xor(dy.view(bits), behind, out=before)
        return
    # The first `stride` offsets are never at the same place: most of dx is set once, and need not be 0 before.
    stride = max(1, offsets[0][1].step or 1)
    if sum(len(range(size)[place]) for _, place in offsets[:stride]) < size:
        dx.fill(0)
    for number, (window, place) in enumerate(offsets):
        hit = mask[_along(axis, window)]
        here = np.equal(winner[_along(axis, window)], number)
        np.subtract(0, here.view(np.int8), out=hit, dtype=bits)
        out = dx[_along(axis, place)]
        if number < stride:
            np.bitwise_and(dy.view(bits)[_along(axis, window)], hit, out=out.view(bits))
        else:
            np.bitwise_and(dy.view(bits)[_along(axis, window)], hit, out=hit)
            out += hit.view(dy.dtype)


def _along(axis: int, which: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (which,)
