"""Convolutions of tiles along the width as matrix products, column by column of y.

What the window of column j sees of a row of x lies in one piece: k C numbers, for kernels k wide, or fewer where the
rest is padding. Of all rows and all values of the tiles at once, with weights u, (k C, O),

    y[j] = x[j] u        dx[j] += dy[j] uᵀ        du += x[j]ᵀ dy[j]
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import Layout, Primitive, strided_layout
from pycaffe_lite.engines.onednn._tile_steps import ONTO, Step, SumOfRows, clear, product
from pycaffe_lite.engines.onednn._winograd import Cut, Part
from pycaffe_lite.layers._winograd import ONE

FEW_COLUMNS, FEW_CHANNELS, MANY_ROWS = 8, 32, 64
"""Up to how many columns of y and channels of x, and from how many rows of tiles on, that is faster, without AVX-512.
Its time in that of oneDNN's convolutions, for y, dx and du, one thread: LeNet's conv2, 20 channels to 50, 128 rows,
0.85, 0.65 and 0.87; 32 rows 1.04, 0.82 and 1.02; 32 to 64, 64 rows, 0.84, 0.98 and 1.16; 10 to 20, 20 columns, 1.15,
0.67 and 1.36.
"""


def columns_can(cut: Cut) -> bool:
    """Whether windows see pieces."""
    g = cut.geometry
    return g.group == g.stride[1] == g.dilation[1] == 1 and max(g.pad[1], g.far[1]) < g.kernel[1]


def columns_pay(cut: Cut, part: Part) -> bool:
    """Whether that can be done, and is faster than convolutions."""
    few = cut.y.shape[3] <= FEW_COLUMNS and cut.x.shape[1] <= FEW_CHANNELS
    many = part.count * part.b.shape[1] // cut.values >= MANY_ROWS
    return few and many and columns_can(cut) and not library().has_avx512


def weights_for(cut: Cut) -> Layout:
    """How kernels one row high lie: as (k, C, O)."""
    c, o, k = cut.x.shape[1], cut.y.shape[1], cut.geometry.kernel[1]
    return strided_layout((o, c, 1, k), (1, o, 1, c * o))


class Columns:
    """The products of a pass, which Direct calls `what`, in the tiles of a part."""

    def __init__(self, what: str, cut: Cut, x: Array, y: Array) -> None:
        self._what, self._x = what, x
        (_, channels, _, width), (_, outputs, _, columns), g = cut.x.shape, cut.y.shape, cut.geometry
        rows = len(x) // (cut.values * cut.x.wide)
        seen = [(max(0, g.pad[1] - j), min(g.kernel[1], width + g.pad[1] - j)) for j in range(columns)]
        runs = {stop - first: _product(what, cut, rows, (stop - first) * channels) for first, stop in seen}
        self._of_columns = [
            (runs[stop - first], x[(j + first - g.pad[1]) * channels :], first * channels * outputs, y[j * outputs :])
            for j, (first, stop) in enumerate(seen)
        ]
        """The product, what it sees of x, where that begins in the weights, and in y."""
        self._of_one = y.reshape(cut.values, -1, outputs)[ONE]
        self._sum = SumOfRows(self._of_one) if what == "backward_weights" else None

    def __call__(self, u: Array, bias: Array | None) -> Iterator[Step]:
        """The pass with these weights and biases, or for their gradients."""
        flat = u.reshape(-1)
        if self._what != "forward":
            yield functools.partial(clear, self._x if self._what == "backward_data" else flat)
        for run, x, place, y in self._of_columns:
            w = flat[place:]
            yield run, {"forward": (x, w, y), "backward_data": (y, w, x), "backward_weights": (x, y, w)}[self._what]
        if bias is not None:
            yield self._sum.to(bias) if self._sum else functools.partial(_add_bias, self._of_one, bias)


def _product(what: str, cut: Cut, rows: int, count: int) -> Primitive:
    """That of a column which sees so many numbers of each of so many rows."""
    outputs, weights = cut.y.shape[1], cut.geometry.kernel[1] * cut.x.shape[1] * cut.y.shape[1]
    x = (cut.values, rows, count), (rows * cut.x.wide, cut.x.wide, 1)
    w = (cut.values, count, outputs), (weights, outputs, 1)
    y = (cut.values, rows, outputs), (rows * cut.y.wide, cut.y.wide, 1)
    if what == "forward":
        return product(strided_layout(*x), strided_layout(*w), strided_layout(*y))
    if what == "backward_data":
        return product(strided_layout(*y), _turned(*w), strided_layout(*x), ONTO)
    return product(_turned(*x), strided_layout(*y), strided_layout(*w), ONTO)


def _turned(shape: Shape, strides: Shape) -> Layout:
    """Each matrix turned."""
    return strided_layout((shape[0], shape[2], shape[1]), (strides[0], strides[2], strides[1]))


def _add_bias(rows: Array, bias: Array) -> bool:
    np.add(rows, bias, out=rows)
    return True
