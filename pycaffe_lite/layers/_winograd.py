"""Convolutions with fewer products: Winograd's minimal filtering F(4, h) along the height, for kernels h high.

Four rows of the result and the h + 3 rows x of the image that they see are a tile. Row by row, * being a convolution
along the width, over all channels, with kernels 1 high,

    y = A ((G w) * (B x))

are h + 3 convolutions where windows take 4 h: half as many for h = 3, 0.4 for h = 5. B x and y are products of small
matrices and whole rows, so that images need not be taken apart. What is linear has the transposed for its gradient:
with dv = Aᵀ dy,

    dx = Bᵀ (dv convolved backward with G w)        dw = Gᵀ (gradients of w for B x and dv)

A, B and G are those of Toom and Cook's product of polynomials, transposed: for the points 0, 1, -1, 2, -1/2, for h = 5
also -2 and 1/2, and infinity. What is added to the value at 1 counts once in each of the four rows: so are biases.

Of random numbers results and gradients are off by some 1e-6 of their size, 1.0 to 2.2 times as much as by windows for
h = 3, 1.0 to 3.5 times for h = 5, in parts of the largest of a tile. What is infinite or NaN would spread over a tile:
where a result is not finite, all of them are computed by windows.

Lavin, A., Gray, S.: Fast algorithms for convolutional neural networks. CVPR 2016.
Barabasz, B., et al.: Error analysis and improving the accuracy of Winograd convolution for deep neural networks. ACM
Transactions on Mathematical Software 46, 2020.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers._geometry import Geometry

POINTS = 0.0, 1.0, -1.0, 2.0, -0.5, -2.0, 0.5
ONE = 1
"""Which of them is 1."""
ROWS = 4
"""Of the result, in a tile."""
HEIGHTS = 3, 5
"""Of kernels, for which there are points enough and it has been measured."""
FLOAT = np.float32


@functools.cache
def matrices(height: int) -> tuple[Array, Array, Array]:
    """A (4, n), B (n, n) and G (n, h) for kernels of this height, n = h + 3."""
    points = POINTS[: height + ROWS - 2]
    n = len(points) + 1
    a, b, g = np.zeros((ROWS, n)), np.zeros((n, n)), np.zeros((n, height))
    for i, p in enumerate(points):
        others = [q for q in points if q != p]
        a[:, i] = p ** np.arange(ROWS)
        b[i, :-1] = np.poly(others)[::-1]
        g[i] = p ** np.arange(height) / math.prod(p - q for q in others)
    b[-1] = np.poly(points)[::-1]
    a[-1, -1] = g[-1, -1] = 1
    return a.astype(FLOAT), b.astype(FLOAT), g.astype(FLOAT)


def can_do(geometry: Geometry) -> bool:
    """Whether it is a convolution of images by windows that go down row by row, of a height that is known here."""
    height = geometry.kernel[0]
    row_by_row = geometry.stride[0] == geometry.dilation[0] == 1
    return height in HEIGHTS and row_by_row and max(geometry.pad[0], geometry.far[0]) < height


def products_saved(w: Shape, y: Shape) -> int:
    """How many fewer they are than by windows, with weights (O, C / group, h, w), for tops (N, O, H, W)."""
    (num, _, rows, columns), height = y, w[2]
    in_tiles = -(-rows // ROWS) * (height + ROWS - 1)
    return num * (rows * height - in_tiles) * columns * math.prod(w) // height


def is_finite(array: Array) -> bool:
    """Whether all of it is. Of what lies in one piece the squares have to be too, which is quicker to see."""
    if not array.flags.c_contiguous:
        return math.isfinite(np.add.reduce(array, axis=None))
    flat = array.reshape(-1)
    return math.isfinite(np.dot(flat, flat))


@dataclass(frozen=True)
class Band:
    """Tiles one below the other: the rows of images that they take and give, and the matrices for all of them at once,
    in which the same of all tiles is next to each other.
    """

    inside: slice
    """Rows of the bottom."""
    shared: int
    """How many of these the tile above takes too."""
    made: slice
    """Rows of the top."""
    b: Array
    """B of each: (n tiles, rows of the bottom)."""
    a: Array
    """A of each: (rows of the top, n tiles)."""


class TileRows:
    """The tiles of images with so many rows x, padded, that windows make rows y of."""

    def __init__(self, height: int, pad: int, x_rows: int, y_rows: int) -> None:
        self._pad, self._x_rows, self._y_rows = pad, x_rows, y_rows
        self._a, self._b, self.g = matrices(height)
        self.values, self.count = len(self._b), -(-y_rows // ROWS)
        """n, and how many tiles there are, one below the other."""

    def band(self, first: int, stop: int) -> Band:
        """These of them."""
        (start, _), (_, end) = self._taken(first), self._taken(stop - 1)
        made = slice(ROWS * first, min(ROWS * stop, self._y_rows))
        b = np.zeros((self.values, stop - first, end - start), FLOAT)
        a = np.zeros((made.stop - made.start, self.values, stop - first), FLOAT)
        for tile in range(stop - first):
            (here, there), top = self._taken(first + tile), ROWS * (first + tile) - self._pad
            b[:, tile, here - start : there - start] = self._b[:, here - top : there - top]
            rows = a[ROWS * tile : ROWS * (tile + 1), :, tile]
            rows[...] = self._a[: len(rows)]
        shared = max(0, self._taken(first - 1)[1] - start) if first else 0
        return Band(slice(start, end), shared, made, b.reshape(-1, end - start), a.reshape(len(a), -1))

    def _taken(self, tile: int) -> tuple[int, int]:
        """The first of the bottom's rows that a tile takes, and the one behind the last."""
        top = ROWS * tile - self._pad
        return max(0, top), min(self._x_rows, top + self.values)
