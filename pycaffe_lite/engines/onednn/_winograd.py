"""Convolutions with fewer products: Winograd's minimal filtering F(4, h) along the height, for kernels h high.

Four rows of the result and the h + 3 rows x of the image that they see are a tile. Row by row, * being a convolution
along the width, over all channels, with kernels 1 high,

    y = A ((G w) * (B x))

are h + 3 convolutions where windows take 4 h: half as many for h = 3, 0.4 for h = 5. B x and y are products of small
matrices and whole rows, so that images need not be taken apart; oneDNN's direct kernels do the rest, which is nearly
all. What is linear has the transposed for its gradient: with dv = Aᵀ dy,

    dx = Bᵀ (dv convolved backward with G w)        dw = Gᵀ (gradients of w for B x and dv)

A, B and G are Toom and Cook's for the points 0, 1, -1, 2, -1/2, for h = 5 also -2 and 1/2, and infinity: y are the
coefficients of a product of polynomials, found from its values there. The value of y at 1 counts once in each of the
four rows, and so do biases.

Of random numbers results and gradients are off by some 1e-6 of their size, 1.0 to 2.2 times as much as by windows for
h = 3, 1.0 to 3.5 times for h = 5, in parts of the largest of a tile. What is infinite or NaN would spread over a tile:
where a result is not finite, all of them are computed by windows.

Lavin, A., Gray, S.: Fast algorithms for convolutional neural networks. CVPR 2016.
Barabasz, B., et al.: Error analysis and improving the accuracy of Winograd convolution for deep neural networks. ACM
Transactions on Mathematical Software 46, 2020.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.engines.onednn._arrays import FLOAT, channels_innermost
from pycaffe_lite.engines.onednn._direct import Direct, weights_layout
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import Layout, strided_layout
from pycaffe_lite.layers._geometry import Geometry

POINTS = 0.0, 1.0, -1.0, 2.0, -0.5, -2.0, 0.5
ONE = 1
"""Which of them is 1."""
ROWS = 4
"""Of the result, in a tile."""
HEIGHTS = 3, 5
"""Of kernels, for which there are points enough and it has been measured."""
CHUNK = 6 << 20
"""Bytes of tiles that are worked through together, for each thread. Half as many take 1.02 to 1.05 of the time, two or
three times as many 0.95 to 1.05.
"""
PER_NUMBER, PER_WEIGHT, PER_WEIGHT_LEARNT = 50, 20, 150
"""Products that take as long as a number of tiles; of one thread, to read G w of a weight, as memory gives no more to
several; to make it, and its gradient.
"""
TO_BEGIN, TO_BEGIN_TOGETHER = (2_000_000, 1_000_000), (4_000_000, 7_000_000)
"""The same, of each thread, to begin with a part and with a pass: where there is one, and where there are several."""
PER_IMAGE, PER_PART, PER_FILTER = 60_000, 500_000, 4
"""A quarter of the products that take as long as to begin with an image's rows, for each thread with a part, and to
read a number of G w.
"""


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


@dataclass(frozen=True)
class Part:
    """Rows of tiles of some images: which rows of these they take and give, and the matrices for all of them at once,
    in which what is alike of all tiles is next to each other.
    """

    images: slice
    inside: slice
    """Rows of the bottom."""
    shared: int
    """How many of these the part before takes too."""
    made: slice
    """Rows of the top."""
    b: Array
    """B for each tile: (1, n tiles, rows of the bottom)."""
    a: Array
    """A for each tile: (1, rows of the top, n tiles)."""
    b_turned: Array
    a_turned: Array

    @property
    def count(self) -> int:
        """How many images."""
        return int(self.images.stop - self.images.start)

    @property
    def kind(self) -> Shape:
        """The same of parts that the same primitives do."""
        return self.count, self.shared, *self.b.shape, *self.a.shape


@dataclass(frozen=True)
class Images:
    """Of this shape, (N, C, H, W), with the channels innermost: H rows of `wide` numbers each."""

    shape: Shape

    @property
    def lie(self) -> Layout:
        return channels_innermost(self.shape)

    @property
    def wide(self) -> int:
        _, channels, _, width = self.shape
        return channels * width

    def rows_in(self, memory: Array) -> Array:
        """(N, H, W C)."""
        flat = memory.transpose(0, 2, 3, 1) if memory.ndim == 4 else memory
        return flat.reshape(self.shape[0], self.shape[2], self.wide)

    def rows(self, count: int, rows: int) -> Layout:
        """So many rows, one after the other, of so many images."""
        return strided_layout((count, rows, self.wide), (self.shape[2] * self.wide, self.wide, 1))

    def tiles(self, count: int, rows: int) -> Layout:
        """Rows of tiles, the same of all images next to each other."""
        return strided_layout((count, rows, self.wide), (self.wide, count * self.wide, 1))


class Cut:
    """How images x (N, C, H, W) and y (N, O, H', W') of a convolution with weights (O, C / group, h, w) are cut."""

    def __init__(self, x: Shape, w: Shape, y: Shape, geometry: Geometry) -> None:
        self.x, self.y, self.height = Images(x), Images(y), w[2]
        self.weights = weights_layout(w, geometry.group)
        self.a, self.b, self.g = matrices(w[2])
        self.values = len(self.b)
        """Of each tile: n."""
        self._w, self._geometry = w, geometry

    def pays(self, *, learning: bool) -> bool:
        """Whether that is faster than by windows."""
        (num, _, high, columns), rows = self.y.shape, self._rows_of_tiles()
        weights, threads = math.prod(self._w), library().threads
        saved = num * (high * self.height - rows * self.values) * columns * weights // self.height
        numbers = num * rows * self.values * (self.x.wide + self.y.wide)
        per_weight = PER_WEIGHT_LEARNT if learning else PER_WEIGHT * threads
        per_part, per_pass = TO_BEGIN if threads == 1 else TO_BEGIN_TOGETHER
        begin = threads * (math.prod(self._divided()) * per_part + per_pass)
        return saved > PER_NUMBER * numbers + per_weight * weights + begin

    def parts(self) -> list[Part]:
        """All of them."""
        num, rows, (of_images, of_rows) = self.x.shape[0], self._rows_of_tiles(), self._divided()
        return [
            self._part(slice(num * i // of_images, num * (i + 1) // of_images), first, stop)
            for i in range(of_images)
            for first, stop in itertools.pairwise(rows * j // of_rows for j in range(of_rows + 1))
        ]

    def _rows_of_tiles(self) -> int:
        """How many are an image."""
        return -(-self.y.shape[2] // ROWS)

    def _divided(self) -> tuple[int, int]:
        """Into how many parts images are, and the rows of each, so that they have up to some CHUNK bytes or as many as
        G w. More rows of tiles are more of an image in one product, and more zeros in its matrix.
        """
        num, rows, threads = self.x.shape[0], self._rows_of_tiles(), library().threads
        wide, filters = self.values * (self.x.wide + self.y.wide), self.values * math.prod(self._w) // self.height
        together = max(threads * CHUNK, 4 * filters) // (4 * wide)
        down = math.sqrt((PER_IMAGE + (PER_PART * threads + PER_FILTER * filters) / num) / wide)
        of_rows = min(rows, max(1, round(rows / down)))
        return min(num, -(-num * rows // (of_rows * max(1, together)))), of_rows

    def _part(self, images: slice, first: int, stop: int) -> Part:
        (start, _), (_, end) = self._taken(first), self._taken(stop - 1)
        made = slice(ROWS * first, min(ROWS * stop, self.y.shape[2]))
        b = np.zeros((self.values, stop - first, end - start), FLOAT)
        a = np.zeros((made.stop - made.start, self.values, stop - first), FLOAT)
        for tile in range(stop - first):
            (here, there), top = self._taken(first + tile), ROWS * (first + tile) - self._geometry.pad[0]
            b[:, tile, here - start : there - start] = self.b[:, here - top : there - top]
            rows = a[ROWS * tile : ROWS * (tile + 1), :, tile]
            rows[...] = self.a[: len(rows)]
        shared = max(0, self._taken(first - 1)[1] - start) if first else 0
        both = b.reshape(1, -1, end - start), a.reshape(1, len(a), -1)
        turned = (np.ascontiguousarray(matrix.transpose(0, 2, 1)) for matrix in both)
        return Part(images, slice(start, end), shared, made, *both, *turned)

    def _taken(self, tile: int) -> tuple[int, int]:
        """The first of the bottom's rows that a tile takes, and the one behind the last."""
        top = ROWS * tile - self._geometry.pad[0]
        return max(0, top), min(self.x.shape[2], top + self.values)

    def along_the_width(self, part: Part, *, bias: bool) -> Direct:
        """The convolution of one value of all tiles, taken for an image for each thread, with kernels one row high."""
        (_, c, _, wide), (_, o, _, columns), g = self.x.shape, self.y.shape, self._geometry
        rows = part.count * part.b.shape[1] // self.values
        num = math.gcd(rows, library().threads)
        flat = Geometry((1, g.kernel[1]), (1, g.stride[1]), (0, g.pad[1]), (1, g.dilation[1]), g.group)
        x, y = (num, c, rows // num, wide), (num, o, rows // num, columns)
        return Direct(x, (*self._w[:2], 1, self._w[3]), y, flat, bias=bias, in_groups=False)

    def rows_of_kernels(self, w: Array) -> Iterator[Array]:
        """Weights (O, C / group, h, w) row by row: (O, C / group, 1, w), or the same for each group."""
        group = self._geometry.group
        kernels = w if group == 1 else w.reshape(group, -1, *w.shape[1:])
        return (kernels[..., row : row + 1, :] for row in range(w.shape[2]))
