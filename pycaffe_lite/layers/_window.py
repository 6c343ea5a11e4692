"""Pooling over windows of (N, C, H, W) arrays, as Caffe does it.

PoolGeometry counts the windows, which may overlap and hang over the edge; maxima and sums are of what they see. Loops
run over the offsets of the kernel, each time for all windows at once, and over tiles of channel planes, so that what
lies between stays in a core's cache. Arrays are C-contiguous, those of floats of one dtype.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from pycaffe_lite._typing import Array, ShapeLike
from pycaffe_lite.layers import _pool_flat
from pycaffe_lite.layers._geometry import PoolGeometry as PoolGeometry
from pycaffe_lite.layers._geometry import Scratch, evenly, hits, work
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.layers._tiles import over_planes

TILE_BYTES = 3 << 18  # of the bottom, so that all the rest fits a core's second-level cache
LOWEST = -float(np.finfo(np.float32).max)  # where Caffe's maxima start, in float64 as well


def winner_type(geometry: PoolGeometry) -> type[np.integer[Any]]:
    """Of numbers that count the kernel's places."""
    return np.uint8 if math.prod(geometry.kernel) < 256 else np.int64


def max_pool_forward(x: Array, y: Array, winner: Array | None, geometry: PoolGeometry, scratch: Scratch) -> None:
    """Set y to the maximum of each window, or -FLT_MAX where it sees nothing higher than that (NaN never is).

    winner, integers of y's shape, is set to the offset of the first maximum, counted from 1 row by row through the
    kernel, whose area its type must hold; to 0 where there is none. None if nobody will ask.
    """
    if winner is None:
        over_planes(_take_unnumbered, (x, y), geometry, scratch)
    else:
        over_planes(_take, (x, y, winner), geometry, scratch)


def _take_unnumbered(x: Array, y: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    _take(x, y, None, geometry, scratch)


def _take(x: Array, y: Array, winner: Array | None, geometry: PoolGeometry, scratch: Scratch) -> None:
    if math.prod(y.shape[2:]) < math.prod(geometry.kernel):
        _max_window_by_window(x, y, winner, geometry)
        return
    if _pool_flat.suits(geometry) and _pool_flat.max_forward(x, y, winner, geometry, scratch, LOWEST):
        return
    by_offset = itertools.product(_hits(geometry, 0, x, y), _hits(geometry, 1, x, y))
    offsets = [((slice(None), o, p), (slice(None), h, w)) for (o, h), (p, w) in by_offset]
    step = _planes_per_tile(x)
    most = step * math.prod(y.shape[2:])
    for source, best, won in _tiles(step, x, y, y if winner is None else winner):
        candidate = work(scratch, "candidate", most, best.shape, x.dtype)
        higher = work(scratch, "higher", most, best.shape, np.bool_)
        best.fill(LOWEST)
        if winner is not None:
            won.fill(0)
        for number, (here, there) in enumerate(offsets, start=1):
            seen, so_far = candidate[here], best[here]
            np.copyto(seen, source[there])
            if winner is not None:
                rises, last = higher[here], won[here]
                np.greater(seen, so_far, out=rises)
                # Of all that rose in their turn the last one wins, and it has the largest number.
                np.maximum(last, rises.view(np.uint8) * won.dtype.type(number), out=last)
            np.fmax(so_far, seen, out=so_far)


def max_pool_backward(dy: Array, winner: Array, dx: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    """Set dx: every dy is added at the place that won its window."""
    over_planes(_give, (dy, winner, dx), geometry, scratch)


def _give(dy: Array, winner: Array, dx: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    overlap = any(k > s for k, s in zip(geometry.kernel, geometry.stride, strict=True))
    step = _planes_per_tile(dx)
    offset = _offsets(geometry, dx.shape[3])
    start = scratch("start", (step, *dy.shape[2:]), np.intp)
    np.add(
        _starts(geometry, dy.shape[2:], dx.shape[3]),
        np.arange(step).reshape(-1, 1, 1) * math.prod(dx.shape[2:]),
        out=start,
    )
    for values, won, out in _tiles(step, dy, winner, dx):
        # mode="clip" (nothing needs it) writes to `out` without a buffer.
        index = work(scratch, "index", step * math.prod(dy.shape[2:]), won.shape, np.intp)
        offset.take(won, out=index, mode="clip")
        index += start[: len(won)]
        if not won.all():
            index, values = index[won > 0], values[won > 0]
        flat, index, values = out.reshape(-1), index.reshape(-1), values.reshape(-1)
        if overlap:
            flat[...] = np.bincount(index, weights=values, minlength=flat.size)
        else:
            flat.fill(0)
            flat[index] = values


def max_pool_mask(winner: Array, geometry: PoolGeometry, spatial: ShapeLike) -> Array:
    """Where in its channel's plane each maximum was, h · W + w; -1 where there is none."""
    places = _offsets(geometry, spatial[1]).take(winner) + _starts(geometry, winner.shape[2:], spatial[1])
    return np.where(winner > 0, places, -1)


def ave_pool_forward(x: Array, y: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    """Set y to the sum of each window, over its area; 0 where it sees nothing."""
    over_planes(_mean, (x, y), geometry, scratch)


def _mean(x: Array, y: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    area = areas(geometry, x, y)
    if y.shape[2:] == (1, 1):
        height, width = (max(0, k - p) for k, p in zip(geometry.kernel, geometry.pad, strict=True))
        np.divide(sum_over((2, 3), x[:, :, :height, :width]), area[0], out=y[:, :, 0, 0])
        return
    step = _planes_per_tile(x)
    for source, sums in _tiles(step, x, y):
        partial = work(scratch, "partial", step * y.shape[2] * x.shape[3], (*sums.shape[:2], x.shape[3]), x.dtype)
        partial.fill(0)
        for o, h in _hits(geometry, 0, x, y):
            partial[:, o] += source[:, h]
        sums.fill(0)
        for p, w in _hits(geometry, 1, x, y):
            sums[:, :, p] += partial[:, :, w]
        sums /= area


def ave_pool_backward(dy: Array, dx: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    """Set dx: every dy, over the area of its window, is added to all that the window saw."""
    over_planes(_share_out, (dy, dx), geometry, scratch)


def _share_out(dy: Array, dx: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
    area = areas(geometry, dx, dy)
    step = _planes_per_tile(dx)
    for source, sums in _tiles(step, dy, dx):
        share = work(scratch, "share", step * math.prod(dy.shape[2:]), source.shape, dx.dtype)
        np.divide(source, area, out=share)
        partial = work(scratch, "partial", step * dy.shape[2] * dx.shape[3], (*source.shape[:2], dx.shape[3]), dx.dtype)
        partial.fill(0)
        for p, w in _hits(geometry, 1, dx, dy):
            partial[:, :, w] += share[:, :, p]
        sums.fill(0)
        for o, h in _hits(geometry, 0, dx, dy):
            sums[:, h] += partial[:, o]


def _max_window_by_window(x: Array, y: Array, winner: Array | None, geometry: PoolGeometry) -> None:
    """max_pool_forward where the windows are fewer than the offsets, as in global pooling."""
    (kernel_h, kernel_w), (height, width) = geometry.kernel, x.shape[2:]
    for o, p in np.ndindex(*y.shape[2:]):
        h, w = o * geometry.stride[0] - geometry.pad[0], p * geometry.stride[1] - geometry.pad[1]
        top, left = min(max(h, 0), height), min(max(w, 0), width)
        seen = x[:, :, top : h + kernel_h, left : w + kernel_w]
        # One more, so that there is a maximum even of nothing, and NaN out of the way.
        flat = np.full((*seen.shape[:2], 1 + math.prod(seen.shape[2:])), LOWEST, x.dtype)
        np.fmax(seen.reshape(flat[:, :, 1:].shape), LOWEST, out=flat[:, :, 1:])
        at = flat.argmax(axis=2)
        y[:, :, o, p] = flat.max(axis=2)
        if winner is not None:
            row, column = np.divmod(at - 1, max(1, seen.shape[3]))
            number = (row + top - h) * kernel_w + column + left - w + 1
            winner[:, :, o, p] = np.where(at > 0, number, 0)


def _offsets(geometry: PoolGeometry, width: int) -> Array:
    """How far each offset of the kernel, counted from 1, is from the window's start in a plane's memory."""
    row, column = np.divmod(np.arange(-1, math.prod(geometry.kernel)), geometry.kernel[1])
    return row * width + column


def _starts(geometry: PoolGeometry, output: ShapeLike, width: int) -> Array:
    """Where in a plane's memory each window starts; before it, where there is padding."""
    row, column = (np.arange(n) * s - p for n, s, p in zip(output, geometry.stride, geometry.pad, strict=True))
    return row[:, np.newaxis] * width + column


def areas(geometry: PoolGeometry, x: Array, y: Array) -> Array:
    """The area of each window, at least 1, of y's dtype. Caffe counts the padding, and cuts at the end of the far one;
    TensorFlow counts none of it.
    """
    lengths = []
    for axis, (k, s, p) in enumerate(zip(geometry.kernel, geometry.stride, geometry.pad, strict=True)):
        start, size = np.arange(y.shape[2 + axis]) * s - p, x.shape[2 + axis]
        if geometry.after is None:
            length = np.minimum(start + k, size + p) - start
        else:
            length = np.minimum(start + k, size) - np.maximum(start, 0)
        lengths.append(np.maximum(length, 1))
    areas: Array = np.outer(*lengths).astype(y.dtype)
    return areas


def _hits(geometry: PoolGeometry, axis: int, x: Array, y: Array) -> list[tuple[slice, slice]]:
    """For each offset of the kernel along an axis: the windows that see something there, and what."""
    stride, pad = geometry.stride[axis], geometry.pad[axis]
    return [hits(k, stride, pad, x.shape[2 + axis], y.shape[2 + axis]) for k in range(geometry.kernel[axis])]


def _planes_per_tile(x: Array) -> int:
    return evenly(x.shape[0] * x.shape[1], TILE_BYTES // (max(1, math.prod(x.shape[2:])) * x.itemsize))


def _tiles(step: int, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The same `step` planes of each (N, C, H, W) array at a time, (planes, H, W)."""
    planes = [a.reshape(a.shape[0] * a.shape[1], *a.shape[2:]) for a in arrays]
    for i in range(0, len(planes[0]), step):
        yield tuple(a[i : i + step] for a in planes)
