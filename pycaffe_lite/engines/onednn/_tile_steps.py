"""What is done with a part of a convolution in tiles, step by step: primitives, and the memory that they work in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import FLOAT, is_reference, layout
from pycaffe_lite.engines.onednn._direct import Passed
from pycaffe_lite.engines.onednn._library import for_this_thread, library
from pycaffe_lite.engines.onednn._primitive import (
    DST,
    SRC,
    WEIGHTS,
    Description,
    Layout,
    PostOp,
    Primitive,
    for_products,
    operands,
    plain_layout,
    reorder,
    strided_layout,
)
from pycaffe_lite.engines.onednn._winograd import Cut, Images, Part
from pycaffe_lite.layers._winograd import ONE, is_finite


class Filters:
    """How G w lies: (n, numbers of kernels one row high), where these lie so."""

    def __init__(self, cut: Cut, row: Layout) -> None:
        self._cut, self._row = cut, row
        self.shape, self.nbytes = (cut.values, row.nbytes // 4), cut.values * row.nbytes
        self.made_from: tuple[Layout, Array] | None = None
        """How w lies, and w, of which it was made last."""
        self._seen: tuple[Array, Array] | None = None

    def all(self, memory: Array) -> Array:
        """All n in such memory: the same array as last time, if that is."""
        if self._seen is None or self._seen[0] is not memory:
            self._seen = memory, memory.reshape(self.shape)
        return self._seen[1]

    def take(self, source: Layout, array: Array, memory: Array) -> None:
        """Make it of w."""
        self.made_from = source, array
        rows = self._rows(library().workspace(self._cut.height * self._row.nbytes))
        for kernels, row in zip(self._cut.rows_of_kernels(array), rows, strict=True):
            reorder(layout(kernels), self._row)(kernels, row)
        multiply = _multiply(plain_layout(self._cut.g.shape), self.shape[1])
        multiply(self._cut.g, rows, memory)

    def give(self, gradients: Array, dw: Array, memory: Array) -> None:
        """Set dw of the gradients of what is here, in memory for as much."""
        rows, (values, height) = self._rows(memory), self._cut.g.shape
        multiply = _multiply(strided_layout((height, values), (1, height)), self.shape[1])
        multiply(self._cut.g, gradients, rows)
        for kernels, row in zip(self._cut.rows_of_kernels(dw), rows, strict=True):
            reorder(self._row, layout(kernels))(row, kernels)

    def _rows(self, memory: Array) -> Array:
        """Memory for kernels, row by row."""
        return memory[: self._cut.height * self._row.nbytes].view(FLOAT).reshape(-1, self.shape[1])


@for_this_thread(64)
def _multiply(matrix: Layout, count: int) -> Primitive:
    """What multiplies such a matrix and rows of so many numbers, for use by this thread."""
    rows, columns = matrix.shape
    return product(matrix, plain_layout((columns, count)), plain_layout((rows, count)))


def product(a: Layout, b: Layout, c: Layout, post_ops: tuple[PostOp, ...] = ()) -> Primitive:
    description = describe_product(a, b, c, post_ops)
    return Primitive(description, {SRC: a, WEIGHTS: b, DST: c, **operands(post_ops)})


def describe_product(a: Layout, b: Layout, c: Layout, post_ops: tuple[PostOp, ...] = ()) -> Description:
    of_a, of_b, of_c = map(for_products, (a, b, c))
    made = Description.make("matmul", library().engine, of_a, of_b, None, of_c, post_ops=post_ops)
    assert made is not None
    return made


Step = tuple[Primitive, Sequence[Array]] | Callable[[], bool]
"""A primitive, and what it is to be run with; or what else is to be done, and says whether to go on."""


ONTO: tuple[PostOp, ...] = ((1.0,),)
"""What has a product added to what is there."""


class SumOfRows:
    """What adds up the rows (n, O) in this memory."""

    def __init__(self, rows: Array) -> None:
        (count, outputs), self._rows = rows.shape, rows
        self._ones = np.ones((1, count), FLOAT)
        lies = plain_layout((1, count)), plain_layout(rows.shape), plain_layout((1, outputs))
        self._set, self._add = product(*lies), product(*lies, ONTO)

    def to(self, sums: Array, *, onto: bool = False) -> Step:
        """Set them, or add to them."""
        return self._add if onto else self._set, (self._ones, self._rows, sums)


def clear(array: Array) -> bool:
    """Set it to 0."""
    array.fill(0)
    return True


class Tiles:
    """Memory for tiles of x and of y of parts of one kind, and what fills it."""

    def __init__(self, x: Images, y: Images, part: Part, memory: Array, apart: tuple[int, int] = (0, 0)) -> None:
        """`apart`: so many numbers lie before the tiles of x, and between these and those of y."""
        self._images, self._count, self._shared = (x, y), part.count, part.band.shared
        (_, self._tiles, self._inside), self._made = part.b.shape, part.a.shape[1]
        in_x, in_y = (self._count * self._tiles * images.pitch for images in (x, y))
        of_y = apart[0] + in_x + apart[1]
        self._x, self._y = memory[apart[0] : apart[0] + in_x], memory[of_y : of_y + in_y]

    @staticmethod
    def nbytes(x: Images, y: Images, part: Part, apart: tuple[int, int] = (0, 0)) -> int:
        """How much it is."""
        return 4 * (int(part.count * part.b.shape[1]) * (x.pitch + y.pitch) + sum(apart))

    @functools.cached_property
    def _fill_x(self) -> Primitive:
        return product(*_filling(self._images[0], self._count, self._tiles, self._inside))

    @functools.cached_property
    def _fill_y(self) -> Primitive:
        return product(*_filling(self._images[1], self._count, self._tiles, self._made))


class GradientTiles(Tiles):
    """Tiles, and what sets the gradients of weights and biases."""

    def backward_weights(
        self, part: Part, x: Array, dy: Array, sums: Sequence[Array], addends: Sequence[Array] | None
    ) -> Iterator[Step]:
        """Set `sums`, those of the weights and, if there are any, of the biases, to what these rows give of them; with
        `addends` add that, which may be made in these, memory for as much.
        """
        yield self._fill_x, (part.b, x[part.images, part.band.inside], self._x)
        yield self._fill_y, (part.a_turned, dy[part.images, part.band.made], self._y)
        yield from self._gradients(sums, addends)

    def _gradients(self, sums: Sequence[Array], addends: Sequence[Array] | None) -> Iterator[Step]:
        """The same of the tiles."""
        raise NotImplementedError


class Along(Protocol):
    """What convolves tiles along the width, in any pass."""

    def __call__(self, u: Array, bias: Array | None) -> Iterator[Step]:
        """Do it with G w, n of them, and biases; where the pass is for their gradients, set these."""


class Convolutions:
    """oneDNN's, of each of the n values in tiles x and y."""

    def __init__(self, passed: Sequence[Passed], x: Array, y: Array) -> None:
        self._runs = [Primitive(*one) for one in passed]
        self._x, self._y = (list(tiles.reshape(len(passed), -1)) for tiles in (x, y))
        self._seen: tuple[Array, list[Array]] | None = None

    def __call__(self, u: Array, bias: Array | None) -> Iterator[Step]:
        if self._seen is None or self._seen[0] is not u:
            self._seen = u, list(u)
        for i, (run, x, w, y) in enumerate(zip(self._runs, self._x, self._seen[1], self._y, strict=True)):
            yield run, ((x, w, y) if bias is None or i != ONE else (x, w, bias, y))


class Steps(GradientTiles):
    """What a pass does with parts of one kind."""

    def __init__(
        self, cut: Cut, part: Part, memory: Array, along: Callable[[Array, Array], Along], post_ops: tuple[PostOp, ...]
    ) -> None:
        super().__init__(cut.x, cut.y, part, memory)
        self._along, self._post_ops = along(self._x, self._y), post_ops

    def forward(
        self, part: Part, x: Array, u: Array, bias: Array | None, y: Array, numbers: Sequence[Array]
    ) -> Iterator[Step]:
        """Set these rows of y, and see whether they are finite."""
        rows = y[part.images, part.band.made]
        yield self._fill_x, (part.b, x[part.images, part.band.inside], self._x)
        yield from self._along(u, bias)
        yield self._empty_y, (part.a, self._y, rows, *numbers)
        yield functools.partial(is_finite, rows)

    def backward_data(self, part: Part, dx: Array, u: Array, dy: Array | None) -> Iterator[Step]:
        """Set these rows of dx, add to those that the part before has set, and see whether they are finite; without dy
        where its tiles have just been filled.
        """
        rows, shared = dx[part.images, part.band.inside], part.band.shared
        if dy is not None:
            yield self._fill_y, (part.a_turned, dy[part.images, part.band.made], self._y)
        yield from self._along(u, None)
        if shared:
            yield self._add_to_x, (part.b_turned, self._x, rows)
        if shared < self._inside:
            yield self._empty_x, (part.b_turned[:, shared:], self._x, rows[:, shared:])
        yield functools.partial(is_finite, rows)

    def _gradients(self, sums: Sequence[Array], addends: Sequence[Array] | None) -> Iterator[Step]:
        du, *db = addends or sums
        yield from self._along(du, db[0] if db else None)
        if addends:
            yield functools.partial(_add_up, sums, addends)

    @functools.cached_property
    def _empty_x(self) -> Primitive:
        return product(*_emptying(self._images[0], self._count, self._tiles, self._inside - self._shared))

    @functools.cached_property
    def _add_to_x(self) -> Primitive:
        return product(*_emptying(self._images[0], self._count, self._tiles, self._shared), ONTO)

    @functools.cached_property
    def _empty_y(self) -> Primitive:
        return product(*_emptying(self._images[1], self._count, self._tiles, self._made), self._post_ops)


def _add_up(sums: Sequence[Array], addends: Sequence[Array]) -> bool:
    for whole, addend in zip(sums, addends, strict=True):
        np.add(whole, addend, out=whole)
    return True


def _filling(images: Images, count: int, tiles: int, rows: int) -> tuple[Layout, Layout, Layout]:
    """How a matrix, rows of images, and of tiles lie whose product is the last."""
    return plain_layout((1, tiles, rows)), images.rows(count, rows), images.tiles(count, tiles)


def _emptying(images: Images, count: int, tiles: int, rows: int) -> tuple[Layout, Layout, Layout]:
    """The same of a matrix, tiles, and rows of images."""
    return plain_layout((1, rows, tiles)), images.tiles(count, tiles), images.rows(count, rows)


def fills_fast(images: Images, part: Part, rows: int) -> bool:
    """Whether tiles of so many rows of each image are filled by what is not the library's plainest way."""
    return not is_reference(describe_product(*_filling(images, part.count, part.b.shape[1], rows)))
