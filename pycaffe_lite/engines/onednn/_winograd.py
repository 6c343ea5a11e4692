"""3 by 3 convolutions with fewer products: Winograd's minimal filtering F(2 x 2, 3 x 3).

Images are cut into tiles d of 4 by 4 places, which overlap by two. Each gives 2 by 2 places of the result, with 16
products for a pair of channels where windows take 36:

    y = Aᵀ (U ⊙ V) A        U = G w Gᵀ        V = Bᵀ d B

For all channels of many tiles U ⊙ V are 16 matrix products, and the transforms are products with matrices of 16 by 16
and 4 by 16 numbers. The gradient of the bottom is of the same kind: the convolution of the top's with the kernels
turned round.

The transforms add and subtract, that of w also takes halves. Results are rounded less than by windows, of random
numbers 0.6 as much, but in parts of the largest of a tile, as each of the four has to do with all 16. What is infinite
or NaN would spread in this way: where a result is not finite, all of them are computed by windows.

Lavin, A., Gray, S.: Fast algorithms for convolutional neural networks. CVPR 2016.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Called, Done
from pycaffe_lite.engines.onednn._arrays import FLOAT, Adaptive, Target, channels_innermost, layout, read
from pycaffe_lite.engines.onednn._binary import Binary
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    BIAS,
    DIFF_DST,
    DIFF_SRC,
    DST,
    SRC,
    WEIGHTS,
    Description,
    Layout,
    Lies,
    PostOp,
    Primitive,
    any_layout,
    new_reorder,
    operands,
    plain_layout,
    reorder,
    strided_layout,
)
from pycaffe_lite.engines.onednn._tail import ADD
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.layers._im2col import Geometry

LEAST_CHANNELS, LEAST_OF_SEVERAL = 65, 90
"""C · O / (C + O), for one thread and for several, from which on the transforms, which go with C + O, cost less than is
saved, which goes with C · O. Measured, one thread and two, in parts of the time by windows: 96 to 128 channels of 28 by
28 places, 10 images, 1.05 and 1.13; 128 to 192 0.85 and 0.95; 256 to 256 of 14 by 14, 8 images, 0.78 and 0.82; 512 to
512 of 28 by 28, 4 images, 0.68 and 0.70.
"""
LEAST_PRODUCTS = 2_400_000
"""C · O for all tiles, for each thread: the steps of less take too long to begin."""
LEAST_TILES, LEAST_TO_LEARN = 48, 600
"""To fetch U from memory pays for so many, and to make it, where W learns, for so many. Those at the border of an odd
image count half or a quarter.
"""
TILES, CHUNK = 128, 3 << 20
"""Tiles that are worked through together, for each thread: so many, or more while V and the products have no more bytes
than CHUNK. Half and twice as many take 0.98 to 1.1 of the time.
"""
_A = np.array([[1, 0], [1, 1], [1, -1], [0, -1]], FLOAT)
_B = np.array([[1, 0, 0, 0], [0, 1, -1, 1], [-1, 1, 1, 0], [0, 0, 0, -1]], FLOAT)
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], FLOAT)
_TO_PLACES, _TO_U, _TO_V = np.kron(_A.T, _A.T), np.kron(_G, _G), np.kron(_B.T, _B.T)
"""Both sides of the transforms in one: (4, 16), (16, 9) and (16, 16)."""
_TO_TURNED = np.ascontiguousarray(_TO_U[:, ::-1])
_MIDDLE = 5
"""Of the 16: what is added to it counts once in each of the four places."""


def can_do(x: Shape, y: Shape, geometry: Geometry) -> bool:
    """Whether it is a convolution of images x to such y by kernels of 3 by 3, padded so that the images keep their
    size.
    """
    one = geometry.pad == geometry.stride == geometry.dilation == (1, 1)
    return one and geometry.extent == (3, 3) and x[2:] == y[2:]


def pays(x: Shape, y: Shape, group: int, least_tiles: int) -> bool:
    """Whether that is faster so."""
    num, channels, height, width = x
    c, o, tiles, threads = channels // group, y[1] // group, num * _half(height) * _half(width), library().threads
    filled = num * height * width / 4
    enough = c * o * filled / tiles >= (LEAST_CHANNELS if threads == 1 else LEAST_OF_SEVERAL) * (c + o)
    return enough and filled >= least_tiles and tiles * c * o >= LEAST_PRODUCTS * threads


def _half(length: int) -> int:
    return -(-length // 2)


class Filters:
    """How U lies: for each group (16, C, O) as the products like it; with `turned`, for the gradient of the bottom,
    (16, O, C). W lies plain, (O, C, 3, 3).
    """

    def __init__(self, channels: int, outputs: int, group: int, turned: bool) -> None:
        c, o = channels // group, outputs // group
        self._group, self._turned = group, turned
        self.channels = (o, c) if turned else (c, o)
        """In and out, of a group."""
        self._made = strided_layout((16, *self.channels), (c * o, c, 1) if turned else (c * o, 1, c))
        self._wanted = _layout_of_u(*self.channels)
        self.nbytes = group * self._wanted.nbytes
        self.made_from: tuple[Layout, Array] | None = None
        """How W lies, and W, of which U was made last."""

    def take(self, source: Layout, array: Array, memory: Array) -> None:
        """Make U of W."""
        self.made_from, to_u = (source, array), _TO_TURNED if self._turned else _TO_U
        of_groups = array.reshape(self._group, -1, 9)
        made = np.empty(self._made.nbytes // 4, FLOAT)
        multiply = _times_kernels(of_groups.shape[1], threading.get_ident())
        for w, u in zip(of_groups, self.of_groups(memory), strict=True):
            multiply(to_u, w, made)
            reorder(self._made, self._wanted)(made, u)

    def of_groups(self, u: Array) -> list[Array]:
        return list(u.reshape(self._group, -1))


@dataclass(frozen=True)
class _Part:
    """Rows of tiles of so many images, and how many of the places under them are outside the image: before the first
    row, and behind the last.
    """

    images: int
    rows: int
    before: int
    behind: int


class Winograd:
    """What computes a convolution of images, or the gradient of its bottom, in tiles: as Adaptive. `by_windows` does
    the same, with these post-ops, which know nothing of places and channels.
    """

    def __init__(self, by_windows: Adaptive, group: int, post_ops: tuple[PostOp, ...] = ()) -> None:
        self._by_windows, self._post_ops = by_windows, post_ops
        turned = DIFF_SRC in by_windows.arguments
        self._from, self._to = (DIFF_DST, DIFF_SRC) if turned else (SRC, DST)
        self._x, self._y = (channels_innermost(by_windows.arguments[n].shape) for n in (self._from, self._to))
        channels, outputs = (self._y, self._x) if turned else (self._x, self._y)
        self._filters = Filters(channels.shape[1], outputs.shape[1], group, turned)
        self.arguments: dict[int, Lies] = {**by_windows.arguments, WEIGHTS: self._filters}
        self._parts = list(_parts(self._x.shape, sum(self._filters.channels)))
        self._tiles: dict[_Part, _Tiles] = {}
        self._memory: Array | None = None
        """Where these work."""

    def adapted(self, scratch: Scratch, *arrays: Array) -> Done:
        """As Adaptive's."""
        run = functools.partial(self._run, scratch)
        run(*arrays)
        return Called(run, *arrays)

    def _run(self, scratch: Scratch, *arrays: Array) -> None:
        given = dict(zip(self.arguments, arrays, strict=True))
        x, target = read(given[self._from], self._x, scratch, "x"), Target(given[self._to], self._y, scratch, "y")
        numbers = arrays[len(arrays) - len(operands(self._post_ops)) :]
        images = _images(x, self._x.shape), _images(target.memory, self._y.shape)
        if self._in_tiles(*images, given[WEIGHTS], given.get(BIAS), numbers):
            target.done()
            return
        assert self._filters.made_from is not None
        (lies, made_from), wanted = self._filters.made_from, self._by_windows.arguments[WEIGHTS]
        w = scratch("weights by windows", (wanted.nbytes // 4,), FLOAT)
        reorder(lies, wanted)(made_from, w)
        self._by_windows.adapted(scratch, *(w if number == WEIGHTS else array for number, array in given.items()))

    def _in_tiles(self, x: Array, y: Array, u: Array, bias: Array | None, numbers: Sequence[Array]) -> bool:
        """Set y (N, H, W, O) for x (N, H, W, C), where all of it comes out finite; whether it does."""
        c, o = self._filters.channels
        width, columns = x.shape[2], _half(x.shape[2])
        memory = library().workspace(max(_Tiles.nbytes(part, columns, c, o) for part, _, _ in self._parts))
        if memory is not self._memory:
            self._memory, self._tiles = memory, {}
        for group, of_group in enumerate(self._filters.of_groups(u)):
            into, out = slice(c * group, c * (group + 1)), slice(o * group, o * (group + 1))
            b = None if bias is None else bias[out]
            for part, images, row in self._parts:
                source, target = x[images, ..., into], y[images, ..., out]
                if part not in self._tiles:
                    lie = source.strides, target.strides
                    self._tiles[part] = _Tiles(memory, part, width, c, o, lie, self._post_ops)
                if not self._tiles[part].convolve(source, target, row, of_group, b, numbers):
                    return False
        return True


def _images(memory: Array, shape: Shape) -> Array:
    """(N, H, W, C), of memory in which images of this shape (N, C, H, W) lie with the channels innermost."""
    num, channels, height, width = shape
    return memory.transpose(0, 2, 3, 1) if memory.ndim == 4 else memory.reshape(num, height, width, channels)


def _parts(x: Shape, channels: int) -> Iterator[tuple[_Part, slice, int]]:
    """All tiles of images x: the part, the images, and its first row of tiles. `channels` are those in and out."""
    num, _, height, width = x
    rows, columns = _half(height), _half(width)
    together = library().threads * max(TILES, CHUNK // (64 * channels))
    count = max(1, round(num * rows * columns / together))
    of_images, of_rows = (count, 1) if count <= num else (num, min(rows, round(count / num)))
    for first, stop in itertools.pairwise(num * i // of_images for i in range(of_images + 1)):
        for top, bottom in itertools.pairwise(rows * i // of_rows for i in range(of_rows + 1)):
            before, behind = int(top == 0), max(0, 2 * bottom + 1 - height)
            yield _Part(stop - first, bottom - top, before, behind), slice(first, stop), top


class _Tiles:
    """Working memory and primitives for the tiles of a part, from images (n, H, W, C) to such (n, H, W, O), which `lie`
    with these strides.
    """

    def __init__(
        self,
        memory: Array,
        part: _Part,
        width: int,
        c: int,
        o: int,
        lie: tuple[Shape, Shape],
        post_ops: tuple[PostOp, ...],
    ) -> None:
        n, rows, columns = part.images, part.rows, _half(width)
        tiles, high, wide = n * rows * columns, 2 * rows, 2 * columns
        self._frame, rest = _cut(memory.view(FLOAT), (n, high + 2, wide + 2, c))
        self._v, rest = _cut(rest, (16, tiles, c))
        self._d, _ = _cut(rest, (2, 2, 2, 2, n, rows, columns, c))  # not needed any more where products are
        self._products, _ = _cut(rest, (16, tiles, o))
        self._places, rest = _cut(rest[16 * tiles * max(c, o) :], (2, 2, n, rows, columns, o))
        sorted_places, _ = _cut(rest, (n, high, wide, o))

        self._first, self._outside = part.before - 1, (part.before, high + 2 - part.behind, width + 1)
        self._inside = self._frame[:, part.before : high + 2 - part.behind, 1 : width + 1]
        self._put_in_frame = new_reorder(_like(self._inside, lie[0]), layout(self._inside))
        self._gather = [
            _Copy(_by_twos(self._frame[:, 2 * i : 2 * i + high, 2 * j : 2 * j + wide]), self._d[i, :, j])
            for i, j in itertools.product(range(2), range(2))
        ]
        all_d, all_products = plain_layout((16, tiles * c)), plain_layout((16, tiles * o))
        self._transform = _product(plain_layout((16, 16)), all_d, all_d)
        self._multiply = _product(plain_layout((16, tiles, c)), _layout_of_u(c, o), plain_layout((16, tiles, o)))
        self._middle = self._products[_MIDDLE]
        self._add = Binary(ADD, lambda y: ()).primitive(plain_layout((tiles, o)), plain_layout((1, o)))
        self._to_places = _product(plain_layout((4, 16)), all_products, plain_layout((4, tiles * o)), post_ops)
        self._sort = _Copy(self._places, _by_twos(sorted_places))
        self._given = sorted_places[:, : high - max(0, part.behind - 1), :width]
        self._give = new_reorder(layout(self._given), _like(self._given, lie[1]))

    @staticmethod
    def nbytes(part: _Part, columns: int, c: int, o: int) -> int:
        """How much memory they need."""
        tiles = part.images * part.rows * columns
        frame = part.images * (2 * part.rows + 2) * (2 * columns + 2) * c
        return 4 * (frame + 16 * tiles * (c + max(c, o)) + 8 * tiles * o)

    def convolve(self, x: Array, y: Array, row: int, u: Array, bias: Array | None, numbers: Sequence[Array]) -> bool:
        """Set the places of y under these tiles, which begin with this row of tiles, if they come out finite; whether
        they do.
        """
        top, bottom, right = self._outside
        frame, inside, given = self._frame, self._inside, self._given
        frame[:, :top] = frame[:, bottom:] = 0
        frame[:, :, :1] = frame[:, :, right:] = 0
        start = 2 * row + self._first
        self._put_in_frame(x[:, start : start + inside.shape[1]], inside)
        for gather in self._gather:
            gather()
        self._transform(_TO_V, self._d, self._v)
        self._multiply(self._v, u, self._products)
        if bias is not None:
            if self._add is not None:
                self._add(self._middle, bias, self._middle)
            else:  # few numbers
                np.add(self._middle, bias, out=self._middle)
        self._to_places(_TO_PLACES, self._products, self._places, *numbers)
        if not math.isfinite(np.add.reduce(self._places, axis=None)):
            return False
        self._sort()
        self._give(given, y[:, 2 * row : 2 * row + given.shape[1]])
        return True


def _cut(memory: Array, shape: Shape) -> tuple[Array, Array]:
    """An array of this shape, and the memory behind it."""
    count = math.prod(shape)
    return memory[:count].reshape(shape), memory[count:]


def _by_twos(images: Array) -> Array:
    """(n, H, W, C) as (2, 2, n, H / 2, W / 2, C): even rows and columns, and odd ones."""
    n, height, width, c = images.shape
    of_n, down, right, one = images.strides
    shape, strides = (2, 2, n, height // 2, width // 2, c), (down, right, of_n, 2 * down, 2 * right, one)
    return np.lib.stride_tricks.as_strided(images, shape, strides)


def _like(array: Array, strides: Shape) -> Layout:
    """How an array of this one's shape lies that has these strides."""
    return strided_layout(array.shape, tuple(s // array.itemsize for s in strides))


class _Copy:
    """Copies an array to another."""

    def __init__(self, source: Array, target: Array) -> None:
        self._arrays, self._run = (source, target), new_reorder(layout(source), layout(target))

    def __call__(self) -> None:
        self._run(*self._arrays)


def _product(a: Layout, b: Layout, c: Layout, post_ops: tuple[PostOp, ...] = ()) -> Primitive:
    made = Description.make("matmul", library().engine, a.handle, b.handle, None, c.handle, post_ops=post_ops)
    assert made is not None
    return Primitive(made, {SRC: a, WEIGHTS: b, DST: c, **operands(post_ops)})


@functools.lru_cache(256)
def _times_kernels(count: int, thread: int) -> Primitive:
    """What multiplies a matrix (16, 9) and so many kernels, for use by this thread."""
    return _product(plain_layout((16, 9)), strided_layout((9, count), (1, 9)), plain_layout((16, count)))


@functools.cache
def _layout_of_u(c: int, o: int) -> Layout:
    """How products of many tiles like U (16, C, O)."""
    v, u, y = plain_layout((16, TILES, c)), any_layout((16, c, o), WEIGHTS), plain_layout((16, TILES, o))
    made = Description.make("matmul", library().engine, v.handle, u, None, y.handle)
    assert made is not None
    return made.layout(WEIGHTS)
