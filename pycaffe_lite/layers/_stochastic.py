"""Stochastic pooling over windows of (N, C, H, W) arrays (Zeiler and Fergus, 2013), for values of 0 and more.

In training one place of each window is drawn, in proportion to its value; in testing the output is what that is on
average, Σ x² / Σ x. Loops run over the offsets of the kernel, each time for all windows at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._geometry import PoolGeometry, hits

_Index = tuple[slice, ...]


def draw_forward(x: Array, y: Array, winner: Array, geometry: PoolGeometry, rng: np.random.Generator) -> None:
    """Set y to the value of one place of each window, and winner, integers of y's shape, to that place's offset.

    Offsets count from 1 row by row through the kernel, whose area winner's type must hold; 0, and y 0, where a window
    lies outside the image. Of a window of zeros it is the first.
    """
    threshold = _sums(x, y, geometry)
    threshold *= 1 - rng.random(y.shape, dtype=np.float32)  # above 0, so that no place of value 0 is drawn
    y.fill(0)
    winner.fill(0)
    so_far = np.zeros_like(y)
    for number, here, there in _offsets(x, y, geometry):
        so_far[here] += x[there]
        reached = (so_far[here] >= threshold[here]) & (winner[here] == 0)
        np.copyto(y[here], x[there], where=reached)
        np.copyto(winner[here], winner.dtype.type(number), where=reached)


def mean_forward(x: Array, y: Array, geometry: PoolGeometry) -> None:
    """Set y to Σ x² / Σ x of each window, 0 where Σ x is not positive."""
    squares = np.zeros_like(y)
    for _, here, there in _offsets(x, y, geometry):
        squares[here] += np.square(x[there])
    sums = _sums(x, y, geometry)
    y.fill(0)
    np.divide(squares, sums, out=y, where=sums > 0)


def mean_backward(x: Array, y: Array, dy: Array, dx: Array, geometry: PoolGeometry) -> None:
    """Set dx to the sum over the windows of dy (2 x - y) / Σ x."""
    sums = _sums(x, y, geometry)
    share = np.zeros_like(y)
    np.divide(dy, sums, out=share, where=sums > 0)
    dx.fill(0)
    for _, here, there in _offsets(x, y, geometry):
        dx[there] += share[here] * (2 * x[there] - y[here])


def _sums(x: Array, y: Array, geometry: PoolGeometry) -> Array:
    """Σ x of each window, added in the order of the offsets."""
    sums = np.zeros_like(y)
    for _, here, there in _offsets(x, y, geometry):
        sums[here] += x[there]
    return sums


def _offsets(x: Array, y: Array, geometry: PoolGeometry) -> Iterator[tuple[int, _Index, _Index]]:
    """For each offset of the kernel: its number, the windows that see something there, and what."""
    by_axis = [
        [hits(k, s, p, x.shape[axis], y.shape[axis]) for k in range(kernel)]
        for axis, (kernel, s, p) in enumerate(zip(geometry.kernel, geometry.stride, geometry.pad, strict=True), start=2)
    ]
    every = (slice(None), slice(None))
    number = 0
    for o, h in by_axis[0]:
        for p, w in by_axis[1]:
            number += 1
            yield number, (*every, o, p), (*every, h, w)
