"""Winograd's minimal filtering (layers/_winograd.py) for oneDNN: how images are cut into parts, and when that pays."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.engines.onednn._arrays import channels_innermost
from pycaffe_lite.engines.onednn._direct import Direct, weights_layout
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import Layout, strided_layout
from pycaffe_lite.layers._geometry import Geometry
from pycaffe_lite.layers._winograd import Band, TileRows, products_saved

CHUNK = 6 << 20
"""Bytes of tiles that are worked through together, for each thread. Half as many take 1.02 to 1.05 of the time, two or
three times as many 0.95 to 1.05.
"""
PER_NUMBER = 50
"""Products that take as long as a number of tiles."""
PER_WEIGHT, PER_WEIGHT_LEARNT = 20, 150
"""The same, of a weight: to read G w, of one thread, as memory gives no more to several; to make G w and its gradient.
"""
TO_BEGIN, TO_BEGIN_TOGETHER = (2_000_000, 1_000_000), (4_000_000, 7_000_000)
"""The same, of each thread, to begin with a part and with a pass: where there is one, and where there are several."""
PER_IMAGE, PER_PART, PER_FILTER = 60_000, 500_000, 4
"""A quarter of the products that take as long as to begin with an image's rows, for each thread with a part, and to
read a number of G w.
"""


@dataclass(frozen=True)
class Part:
    """A band of tiles of some images; its matrices for each of these, and turned."""

    images: slice
    band: Band
    b: Array
    """(1, n tiles, rows of the bottom)."""
    a: Array
    """(1, rows of the top, n tiles)."""
    b_turned: Array
    a_turned: Array

    @property
    def count(self) -> int:
        """How many images."""
        return int(self.images.stop - self.images.start)

    @property
    def kind(self) -> Shape:
        """The same of parts that the same primitives do."""
        return self.count, self.band.shared, *self.b.shape, *self.a.shape


@dataclass(frozen=True)
class Images:
    """Of this shape, (N, C, H, W), with the channels innermost: H rows of `wide` numbers each."""

    shape: Shape
    behind: int = 0
    """Places that a row of tiles has more, after its last."""

    @property
    def lie(self) -> Layout:
        return channels_innermost(self.shape)

    @property
    def wide(self) -> int:
        _, channels, _, width = self.shape
        return channels * width

    @property
    def pitch(self) -> int:
        """Numbers from one row of tiles to the next."""
        return self.wide + self.shape[1] * self.behind

    def rows_in(self, memory: Array) -> Array:
        """(N, H, W C)."""
        flat = memory.transpose(0, 2, 3, 1) if memory.ndim == 4 else memory
        return flat.reshape(self.shape[0], self.shape[2], self.wide)

    def rows(self, count: int, rows: int) -> Layout:
        """So many rows, one after the other, of so many images."""
        return strided_layout((count, rows, self.wide), (self.shape[2] * self.wide, self.wide, 1))

    def tiles(self, count: int, rows: int) -> Layout:
        """Rows of tiles, the same of all images next to each other."""
        return strided_layout((count, rows, self.wide), (self.pitch, count * self.pitch, 1))


class Cut:
    """How images x (N, C, H, W) and y (N, O, H', W') of a convolution with weights (O, C / group, h, w) are cut."""

    def __init__(self, x: Shape, w: Shape, y: Shape, geometry: Geometry) -> None:
        self.x, self.y, self.height = Images(x), Images(y), w[2]
        self.weights = weights_layout(w, geometry.group)
        self._tiles = TileRows(w[2], geometry.pad[0], x[2], y[2])
        self.g, self.values = self._tiles.g, self._tiles.values
        """G, and how many values a tile has: n."""
        self.geometry, self._w = geometry, w

    def pays(self, *, learning: bool, per_product: float = 1) -> bool:
        """Whether that is faster than by windows, if not to do a product saves so many times what one takes."""
        weights, threads = math.prod(self._w), library().threads
        numbers = self.y.shape[0] * self._tiles.count * self.values * (self.x.wide + self.y.wide)
        per_weight = PER_WEIGHT_LEARNT if learning else PER_WEIGHT * threads
        per_part, per_pass = TO_BEGIN if threads == 1 else TO_BEGIN_TOGETHER
        begin = threads * (math.prod(self._divided()) * per_part + per_pass)
        saved = per_product * products_saved(self._w, self.y.shape)
        return saved > PER_NUMBER * numbers + per_weight * weights + begin

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        """All of them, the same for all passes, with as many threads as there were when they were first asked for."""
        num, rows, (of_images, of_rows) = self.x.shape[0], self._tiles.count, self._divided()
        return tuple(
            self._part(slice(num * i // of_images, num * (i + 1) // of_images), first, stop)
            for i in range(of_images)
            for first, stop in itertools.pairwise(rows * j // of_rows for j in range(of_rows + 1))
        )

    @functools.cached_property
    def kinds(self) -> dict[Shape, Part]:
        """One part of each kind, by its kind."""
        return {part.kind: part for part in self.parts}

    def _divided(self) -> tuple[int, int]:
        """Into how many parts images are, and the rows of each, so that they have up to some CHUNK bytes or as many as
        G w. More rows of tiles are more of an image in one product, and more zeros in its matrix.
        """
        num, rows, threads = self.x.shape[0], self._tiles.count, library().threads
        wide, filters = self.values * (self.x.wide + self.y.wide), self.values * math.prod(self._w) // self.height
        together = max(threads * CHUNK, 4 * filters) // (4 * wide)
        down = math.sqrt((PER_IMAGE + (PER_PART * threads + PER_FILTER * filters) / num) / wide)
        of_rows = min(rows, max(1, round(rows / down)))
        return min(num, -(-num * rows // (of_rows * max(1, together)))), of_rows

    def _part(self, images: slice, first: int, stop: int) -> Part:
        band = self._tiles.band(first, stop)
        both = band.b[np.newaxis], band.a[np.newaxis]
        turned = (np.ascontiguousarray(matrix.transpose(0, 2, 1)) for matrix in both)
        return Part(images, band, *both, *turned)

    def along_the_width(self, part: Part, *, bias: bool) -> Direct:
        """The convolution of one value of all tiles, taken for an image for each thread, with kernels one row high."""
        (_, c, _, wide), (_, o, _, columns), g = self.x.shape, self.y.shape, self.geometry
        rows = part.count * part.b.shape[1] // self.values
        num = math.gcd(rows, library().threads)
        flat = Geometry((1, g.kernel[1]), (1, g.stride[1]), (0, g.pad[1]), (1, g.dilation[1]), g.group)
        x, y = (num, c, rows // num, wide), (num, o, rows // num, columns)
        return Direct(x, (*self._w[:2], 1, self._w[3]), y, flat, bias=bias, in_groups=False)

    def rows_of_kernels(self, w: Array) -> Iterator[Array]:
        """Weights (O, C / group, h, w) row by row: (O, C / group, 1, w), or the same for each group."""
        group = self.geometry.group
        kernels = w if group == 1 else w.reshape(group, -1, *w.shape[1:])
        return (kernels[..., row : row + 1, :] for row in range(w.shape[2]))
