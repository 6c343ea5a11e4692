"""Max pooling of (N, C, H, W) arrays in long runs, however short the rows of the images are.

numpy is slow where runs are short. So planes are copied into *phases*: (a, b) holds, of the padded planes, the rows
a, a + stride, ... and of these the columns b, b + stride, ... What the windows see at one offset of the kernel is then
one phase, from some number on: all phases are taken as flat, all planes of a tile together. Where a window would run
over the end of a row, numbers come out that nobody asked for; they are left behind in the end.

Maxima are taken across the rows first and then down: the first of equal values wins both times, which is the first row
by row, as in Caffe.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._geometry import PoolGeometry, Scratch, evenly, hits

TILE_BYTES = 1 << 18  # of a phase
MAX_AREA = 255  # of the kernel: what the winners' type can number


def suits(geometry: PoolGeometry) -> bool:
    """Whether this way is the faster, and possible: windows that overlap see what has been copied more than once."""
    overlap = any(k > s for k, s in zip(geometry.kernel, geometry.stride, strict=True))
    return overlap and math.prod(geometry.kernel) <= MAX_AREA


def max_forward(
    x: Array, y: Array, winner: Array | None, geometry: PoolGeometry, scratch: Scratch, lowest: float
) -> bool:
    """As _window.max_pool_forward where this way suits, unless a window sees NaN or nothing above `lowest`:
    then the answer is False, and y and winner are worth nothing.
    """
    tiles = _Tiles(x, y, geometry, scratch)
    planes, maxima = x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:])
    numbers = None if winner is None else winner.reshape(maxima.shape)
    for i in range(0, len(planes), tiles.step):
        part = slice(i, i + tiles.step)
        best, won = tiles.maxima(planes[part])
        maxima[part] = best
        if numbers is not None:
            numbers[part] = won
        if best.size and not best.min() > lowest:
            return False
    return True


class _Tiles:
    """The memory for one tile of planes after the other."""

    def __init__(self, x: Array, y: Array, geometry: PoolGeometry, scratch: Scratch) -> None:
        self._geometry, self._scratch, self._dtype = geometry, scratch, x.dtype
        kernel, stride = geometry.kernel, geometry.stride
        self._output = y.shape[2:]
        self._height, self._width = (n + (k - 1) // s for n, k, s in zip(self._output, kernel, stride, strict=True))
        self._phases = min(kernel[0], stride[0]), min(kernel[1], stride[1])
        of_plane = self._height * self._width * x.itemsize
        self.step = evenly(x.shape[0] * x.shape[1], TILE_BYTES // max(1, of_plane))
        # Shifted arrays reach beyond the last plane.
        self._most = self.step * self._height * self._width
        self._beyond = (kernel[0] - 1) // stride[0] * self._width + (kernel[1] - 1) // stride[1]

    def maxima(self, planes: Array) -> tuple[Array, Array]:
        """The windows' maxima (planes, H', W'), and their offsets counted from 1."""
        (rows, columns), (down, _) = self._geometry.kernel, self._geometry.stride
        size = len(planes) * self._height * self._width
        across = [self._across(planes, a, size) for a in range(self._phases[0])]
        best, won = self._room("best", self._dtype)[:size], self._room("won", np.uint8)[:size]
        best[...], won[...] = across[0][0][:size], across[0][1][:size]
        rises = self._room("rises", np.bool_)[:size]
        change = self._room("change", np.uint8)[:size]
        for k in range(1, rows):
            shift = k // down * self._width
            seen, column = (a[shift : shift + size] for a in across[k % down])
            np.greater(seen, best, out=rises)
            np.maximum(best, seen, out=best)
            # won = column + k · columns where it rises
            np.add(column, np.uint8(k * columns), out=change)
            change ^= won
            change *= rises.view(np.uint8)
            won ^= change
        return self._windows(best), self._windows(won)

    def _across(self, planes: Array, a: int, size: int) -> tuple[Array, Array]:
        """Of row phase a: the maxima along the width, and their columns in the kernel counted from 1."""
        phases = [self._phase(planes, a, b) for b in range(self._phases[1])]
        best, won = self._room(f"best {a}", self._dtype), self._room(f"column {a}", np.uint8)
        here, column = best[:size], won[:size]
        rises = self._room("rises", np.bool_)[:size]
        if self._geometry.kernel[1] == 1:
            here[...] = phases[0][:size]
            column.fill(0)
        for k in range(1, self._geometry.kernel[1]):
            phase, shift = k % self._geometry.stride[1], k // self._geometry.stride[1]
            seen = phases[phase][shift : shift + size]
            if k == 1:
                before = phases[0][:size]
                np.greater(seen, before, out=column.view(np.bool_))
                np.maximum(before, seen, out=here)
                continue
            np.greater(seen, here, out=rises)
            np.maximum(here, seen, out=here)
            # Of all that rose in their turn the last one wins, and it has the largest number.
            number = rises.view(np.uint8)
            number *= np.uint8(k)
            np.maximum(column, number, out=column)
        column += np.uint8(1)
        return best, won

    def _phase(self, planes: Array, a: int, b: int) -> Array:
        """A phase, flat, with -inf for padding."""
        flat = self._room(f"phase {b}", self._dtype)
        phase = flat[: len(planes) * self._height * self._width].reshape(-1, self._height, self._width)
        axes = zip((a, b), self._geometry.stride, self._geometry.pad, planes.shape[1:], phase.shape[1:], strict=True)
        (rows, from_rows), (columns, from_columns) = (hits(*axis) for axis in axes)
        inside = phase[:, rows, columns]
        if inside.size < phase.size:
            phase.fill(-np.inf)
        inside[...] = planes[:, from_rows, from_columns]
        return flat

    def _windows(self, flat: Array) -> Array:
        of_planes = flat.reshape(-1, self._height, self._width)
        return of_planes[:, : self._output[0], : self._output[1]]

    def _room(self, name: str, dtype: npt.DTypeLike) -> Array:
        return self._scratch(name, (self._most + self._beyond,), dtype)
