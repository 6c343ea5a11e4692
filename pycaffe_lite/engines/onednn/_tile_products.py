"""The gradients of weights of a convolution in tiles, as matrix products: one for each column of the kernels.

Rows of tiles of x and of dy have one length, with zeros behind the last place: at least as many behind x as pad it on
its wider side. So, of all rows one after the other, any place p of dy has met place p + k - pad of x through column k
of the kernels: where that one is padding, or is in another row, x or dy is 0. Of each value of the tiles

    du[k] = x[k - pad :]ᵀ dy                            (C, O), of (places, C) and (places, O)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import is_reference
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import Layout, strided_layout
from pycaffe_lite.engines.onednn._tile_steps import (
    ONTO,
    GradientTiles,
    Step,
    SumOfRows,
    clear,
    describe_product,
    fills_fast,
    product,
)
from pycaffe_lite.engines.onednn._winograd import Cut, Images, Part
from pycaffe_lite.layers._winograd import ONE
from pycaffe_lite.memory import CACHE_LINE

MOST_ZEROS = 0.15
"""Behind a row of dy, in parts of it, up to which products are faster, without AVX-512. Their time in that of
convolutions along the width, one thread: kernels 3 wide, 64 channels to 64, 56 wide, 0.52; 512 to 512, 7 wide, 0.90;
5 wide, 16 to 32, 28 wide, 0.82; 32 to 64, 8 wide, 0.98; LeNet's conv2, 20 to 50, 8 wide and 4 zeros, 1.24.
"""


@dataclass(frozen=True)
class Padded:
    """How rows of tiles of x and of y, (N, C, H, W) each, are padded, and what products there are."""

    x: Images
    y: Images
    long: int
    """Places of a row."""
    shifts: tuple[int, ...]
    """How many places x is ahead of y, for each column of the kernels."""
    group: int
    values: int

    @classmethod
    def of(cls, cut: Cut) -> Padded:
        g, width, columns = cut.geometry, cut.x.shape[3], cut.y.shape[3]
        long = max(columns, width + max(g.pad[1], g.far[1]))
        x, y = replace(cut.x, behind=long - width), replace(cut.y, behind=long - columns)
        shifts = tuple(k * g.dilation[1] - g.pad[1] for k in range(g.kernel[1]))
        return cls(x, y, long, shifts, g.group, cut.values)

    @property
    def apart(self) -> tuple[int, int]:
        """Numbers before the tiles of x and behind them, which products see too."""
        line = CACHE_LINE // 4
        before, behind = (max(0, n) * self.x.shape[1] for n in (-min(self.shifts), max(self.shifts)))
        return -(-before // line) * line, -(-behind // line) * line

    @property
    def channels(self) -> tuple[int, int]:
        """Those of x and y in a group."""
        return self.x.shape[1] // self.group, self.y.shape[1] // self.group

    @property
    def gradients(self) -> Layout:
        """How those of kernels one row high lie: as (columns of the kernels, groups, C, O)."""
        c, o = self.channels
        shape, strides = (self.group, o, c, 1, len(self.shifts)), (c * o, 1, o, 1, self.group * c * o)
        return strided_layout(shape, strides) if self.group > 1 else strided_layout(shape[1:], strides[1:])

    def pays(self, parts: Iterable[Part]) -> bool:
        """Whether products are faster than convolutions along the width."""
        if library().has_avx512 or self.y.behind > MOST_ZEROS * self.y.shape[3]:
            return False
        return all(
            fills_fast(self.x, part, part.b.shape[2])
            and fills_fast(self.y, part, part.a.shape[1])
            and not is_reference(describe_product(*self.product_of(part)))
            for part in parts
        )

    def nbytes(self, part: Part) -> int:
        """Memory for tiles."""
        return GradientTiles.nbytes(self.x, self.y, part, self.apart)

    def product_of(self, part: Part) -> tuple[Layout, Layout, Layout]:
        """How x, dy and du lie: of all values, one column and one group."""
        (c, o), places = self.channels, part.count * part.b.shape[1] // self.values * self.long
        channels, outputs, row = self.x.shape[1], self.y.shape[1], len(self.shifts) * self.group * c * o
        x = strided_layout((self.values, c, places), (places * channels, 1, channels))
        y = strided_layout((self.values, places, o), (places * outputs, outputs, 1))
        return x, y, strided_layout((self.values, c, o), (row, o, 1))


class Products(GradientTiles):
    """What sets the gradients that parts of one kind give, or adds to them."""

    def __init__(self, padded: Padded, part: Part, memory: Array) -> None:
        super().__init__(padded.x, padded.y, part, memory, padded.apart)
        (_, channels, _, width), (_, outputs, _, columns), (c, o) = padded.x.shape, padded.y.shape, padded.channels
        (before, behind), long, group = padded.apart, padded.long, padded.group
        end = before + len(self._x)
        x, y = self._x.reshape(-1, long, channels), self._y.reshape(-1, long, outputs)
        zeros = memory[:before], memory[end : end + behind], x[:, width:], y[:, columns:]
        self._zeros = [array for array in zeros if array.size]
        self._given = [
            (memory[before + shift * channels + g * c :], self._y[g * o :], (k * group + g) * c * o)
            for k, shift in enumerate(padded.shifts)
            for g in range(group)
        ]
        """x and dy of each product, and where in du it is."""
        lies = padded.product_of(part)
        self._set, self._add = product(*lies), product(*lies, ONTO)
        self._sum = SumOfRows(self._y.reshape(padded.values, -1, outputs)[ONE])

    def _gradients(self, sums: Sequence[Array], addends: Sequence[Array] | None) -> Iterator[Step]:
        du, *biases = sums
        for zeros in self._zeros:
            yield functools.partial(clear, zeros)
        run, flat = self._add if addends else self._set, du.reshape(-1)
        for x, dy, place in self._given:
            yield run, (x, dy, flat[place:])
        for db in biases:
            yield self._sum.to(db, onto=bool(addends))
