"""The passes of a convolution in tiles, as _winograd says what these are."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Call, Called, Done, all_there
from pycaffe_lite.engines.onednn._arrays import (
    FLOAT,
    NAMES,
    WRITTEN,
    Runs,
    Target,
    channels_innermost,
    is_reference,
    layout,
    read,
)
from pycaffe_lite.engines.onednn._direct import Passed
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    BIAS,
    DIFF_BIAS,
    DIFF_DST,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DST,
    SRC,
    WEIGHTS,
    Description,
    Layout,
    Lies,
    PostOp,
    Primitive,
    operands,
    plain_layout,
    reorder,
    strided_layout,
)
from pycaffe_lite.engines.onednn._winograd import Cut, Images, Part
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.layers._winograd import ONE, is_finite
from pycaffe_lite.memory import CACHE_LINE, aligned

NO_MEMORY = aligned(0, "u1")


class Filters:
    """How G w lies: (n, numbers of kernels one row high), where these lie so."""

    def __init__(self, cut: Cut, row: Layout) -> None:
        self._cut, self._row = cut, row
        self.shape, self.nbytes = (cut.values, row.nbytes // 4), cut.values * row.nbytes
        self.made_from: tuple[Layout, Array] | None = None
        """How w lies, and w, of which it was made last."""
        self._each: tuple[Array, list[Array]] | None = None

    def each(self, memory: Array) -> list[Array]:
        """The n of them in such memory: the same arrays as last time, if that is."""
        if self._each is None or self._each[0] is not memory:
            self._each = memory, list(memory.reshape(self.shape))
        return self._each[1]

    def take(self, source: Layout, array: Array, memory: Array) -> None:
        """Make it of w."""
        self.made_from = source, array
        rows = self._rows(library().workspace(self._cut.height * self._row.nbytes))
        for kernels, row in zip(self._cut.rows_of_kernels(array), rows, strict=True):
            reorder(layout(kernels), self._row)(kernels, row)
        multiply = _multiply(plain_layout(self._cut.g.shape), self.shape[1], threading.get_ident())
        multiply(self._cut.g, rows, memory)

    def give(self, gradients: Array, dw: Array, memory: Array) -> None:
        """Set dw of the gradients of what is here, in memory for as much."""
        rows, (values, height) = self._rows(memory), self._cut.g.shape
        multiply = _multiply(strided_layout((height, values), (1, height)), self.shape[1], threading.get_ident())
        multiply(self._cut.g, gradients, rows)
        for kernels, row in zip(self._cut.rows_of_kernels(dw), rows, strict=True):
            reorder(self._row, layout(kernels))(row, kernels)

    def _rows(self, memory: Array) -> Array:
        """Memory for kernels, row by row."""
        return memory[: self._cut.height * self._row.nbytes].view(FLOAT).reshape(-1, self.shape[1])


@functools.lru_cache(64)
def _multiply(matrix: Layout, count: int, thread: int) -> Primitive:
    """What multiplies such a matrix and rows of so many numbers, for use by this thread."""
    rows, columns = matrix.shape
    return _product(matrix, plain_layout((columns, count)), plain_layout((rows, count)))


def _product(a: Layout, b: Layout, c: Layout, post_ops: tuple[PostOp, ...] = ()) -> Primitive:
    description = _describe_product(a, b, c, post_ops)
    return Primitive(description, {SRC: a, WEIGHTS: b, DST: c, **operands(post_ops)})


def _describe_product(a: Layout, b: Layout, c: Layout, post_ops: tuple[PostOp, ...] = ()) -> Description:
    made = Description.make("matmul", library().engine, a.handle, b.handle, None, c.handle, post_ops=post_ops)
    assert made is not None
    return made


Step = tuple[Primitive, Sequence[Array]] | Callable[[], bool]
"""A primitive, and what it is to be run with; or what else is to be done, and says whether to go on."""


class Steps:
    """What a pass does with parts of one kind: memory for tiles of x and of y, and primitives that work in it. Weights
    are given as n arrays.
    """

    def __init__(self, cut: Cut, part: Part, memory: Array, along: list[Passed], post_ops: tuple[PostOp, ...]) -> None:
        self._cut, self._count, self._shared = cut, part.count, part.band.shared
        (_, self._tiles, self._inside), self._made = part.b.shape, part.a.shape[1]
        in_x, in_y = (self._count * self._tiles * images.wide for images in (cut.x, cut.y))
        self._x, self._y = memory[:in_x], memory[in_x : in_x + in_y]
        self._each = [list(tiles.reshape(cut.values, -1)) for tiles in (self._x, self._y)]
        self._along, self._post_ops = [Primitive(*passed) for passed in along], post_ops

    @staticmethod
    def nbytes(cut: Cut, part: Part) -> int:
        """How much memory they take."""
        return int(4 * part.count * part.b.shape[1]) * (cut.x.wide + cut.y.wide)

    def forward(
        self, part: Part, x: Array, u: Sequence[Array], bias: Array | None, y: Array, numbers: Sequence[Array]
    ) -> Iterator[Step]:
        """Set these rows of y, and see whether they are finite."""
        rows = y[part.images, part.band.made]
        yield self._fill_x, (part.b, x[part.images, part.band.inside], self._x)
        yield from self._convolve(u, bias)
        yield self._empty_y, (part.a, self._y, rows, *numbers)
        yield functools.partial(is_finite, rows)

    def backward_data(self, part: Part, dx: Array, u: Sequence[Array], dy: Array | None) -> Iterator[Step]:
        """Set these rows of dx, add to those that the part before has set, and see whether they are finite; without dy
        where its tiles have just been filled.
        """
        rows, shared = dx[part.images, part.band.inside], part.band.shared
        if dy is not None:
            yield self._fill_y, (part.a_turned, dy[part.images, part.band.made], self._y)
        yield from self._convolve(u, None)
        if shared:
            yield self._add_to_x, (part.b_turned, self._x, rows)
        if shared < self._inside:
            yield self._empty_x, (part.b_turned[:, shared:], self._x, rows[:, shared:])
        yield functools.partial(is_finite, rows)

    def backward_weights(
        self, part: Part, x: Array, du: Sequence[Array], db: Array | None, dy: Array
    ) -> Iterator[Step]:
        """Set what these rows give of both."""
        yield self._fill_x, (part.b, x[part.images, part.band.inside], self._x)
        yield self._fill_y, (part.a_turned, dy[part.images, part.band.made], self._y)
        yield from self._convolve(du, db)

    def _convolve(self, u: Sequence[Array], bias: Array | None) -> Iterator[Step]:
        for i, (run, x, w, y) in enumerate(zip(self._along, self._each[0], u, self._each[1], strict=True)):
            yield run, ((x, w, y) if bias is None or i != ONE else (x, w, bias, y))

    @functools.cached_property
    def _fill_x(self) -> Primitive:
        return _product(*_filling(self._cut.x, self._count, self._tiles, self._inside))

    @functools.cached_property
    def _fill_y(self) -> Primitive:
        return _product(*_filling(self._cut.y, self._count, self._tiles, self._made))

    @functools.cached_property
    def _empty_x(self) -> Primitive:
        return _product(*_emptying(self._cut.x, self._count, self._tiles, self._inside - self._shared))

    @functools.cached_property
    def _add_to_x(self) -> Primitive:
        return _product(*_emptying(self._cut.x, self._count, self._tiles, self._shared), ((1.0,),))

    @functools.cached_property
    def _empty_y(self) -> Primitive:
        return _product(*_emptying(self._cut.y, self._count, self._tiles, self._made), self._post_ops)


def _filling(images: Images, count: int, tiles: int, rows: int) -> tuple[Layout, Layout, Layout]:
    """How a matrix, rows of images, and of tiles lie whose product is the last."""
    return plain_layout((1, tiles, rows)), images.rows(count, rows), images.tiles(count, tiles)


def _emptying(images: Images, count: int, tiles: int, rows: int) -> tuple[Layout, Layout, Layout]:
    """The same of a matrix, tiles, and rows of images."""
    return plain_layout((1, rows, tiles)), images.tiles(count, tiles), images.rows(count, rows)


def _is_fast(cut: Cut, part: Part) -> bool:
    """Whether tiles are filled by what is not the library's plainest way."""
    return not is_reference(_describe_product(*_filling(cut.x, part.count, *part.b.shape[1:])))


def _has_channels_innermost(arguments: dict[int, Layout]) -> bool:
    """Whether images lie as tiles do."""
    images = (lies for number, lies in arguments.items() if number in NAMES)
    return all(lies is channels_innermost(lies.shape) for lies in images)


class InTiles:
    """What computes a pass of a convolution in tiles: as Adaptive. `by_windows` computes the same, with these post-ops,
    which take each number for itself and leave none finite that was not.
    """

    what: ClassVar[str]
    """The pass, as Direct calls it."""
    weights: ClassVar[int] = WEIGHTS

    def __init__(
        self,
        cut: Cut,
        by_windows: Runs,
        post_ops: tuple[PostOp, ...],
        parts: list[Part],
        along: dict[Shape, list[Passed]],
        filters: Filters,
    ) -> None:
        self._cut, self._by_windows, self._post_ops = cut, by_windows, post_ops
        self._parts, self._along, self._filters = parts, along, filters
        self._nbytes = -(-max(Steps.nbytes(cut, part) for part in parts) // CACHE_LINE) * CACHE_LINE
        self._memory, self._steps = NO_MEMORY, dict[Shape, Steps]()
        self._images = {SRC: cut.x, DIFF_SRC: cut.x, DST: cut.y, DIFF_DST: cut.y}
        self.arguments: dict[int, Lies] = {**by_windows.arguments}

    @classmethod
    def make(cls, cut: Cut, by_windows: Runs, post_ops: tuple[PostOp, ...] = ()) -> Runs | None:
        """None where what is left to do is not fast."""
        parts, along = cut.parts(), dict[Shape, list[Passed]]()
        biases = (False, not {BIAS, DIFF_BIAS}.isdisjoint(by_windows.arguments))
        for part in parts:
            if part.kind not in along:
                plain, at_one = (cut.along_the_width(part, bias=bias).passed(cls.what) for bias in biases)
                if plain is None or at_one is None or not _is_fast(cut, part):
                    return None
                along[part.kind] = [at_one if i == ONE else plain for i in range(cut.values)]
        all_arguments = [arguments for of_kind in along.values() for _, arguments in of_kind]
        lies = {arguments[cls.weights] for arguments in all_arguments}
        if len(lies) > 1 or not all(map(_has_channels_innermost, all_arguments)):
            return None
        return cls(cut, by_windows, post_ops, parts, along, Filters(cut, *lies))

    def adapted(self, scratch: Scratch, *arrays: Array) -> Done:
        """As Adaptive's."""
        self.run(scratch, *arrays)
        return _Planned(functools.partial(self._again, scratch), *arrays)

    def run(self, scratch: Scratch, *arrays: Array) -> None:
        given, targets = list[Array](), list[Target]()
        for number, array in zip(self.arguments, arrays, strict=True):
            if number not in self._images:
                given.append(array)
            elif number in WRITTEN:
                targets.append(Target(array, self._images[number].lie, scratch, NAMES[number]))
                given.append(targets[-1].memory)
            else:
                given.append(read(array, self._images[number].lie, scratch, NAMES[number]))
        if all(_do(step) for step in self._all_steps(given)):
            for target in targets:
                target.done()
        else:
            self._run_by_windows(scratch, arrays)

    def _again(self, scratch: Scratch, *arrays: Array) -> Call:
        """What runs it with these arrays, which it keeps."""
        seen = zip(self.arguments, arrays, strict=True)
        if any(layout(array) is not self._images[number].lie for number, array in seen if number in self._images):
            return functools.partial(self.run, scratch, *arrays)
        memory, calls = NO_MEMORY, list[Call]()

        def run() -> None:
            nonlocal memory, calls
            if memory is not self._workspace():
                calls = [step if callable(step) else step[0].on(step[1]) for step in self._all_steps(arrays)]
                memory = self._memory
            for call in calls:
                if call() is False:
                    self._run_by_windows(scratch, arrays)
                    return

        return run

    def _all_steps(self, arrays: Sequence[Array]) -> Iterator[Step]:
        """What is to be done with such arrays, which lie as wanted."""
        self._work_in(self._workspace())
        return self._plan(arrays)

    def _work_in(self, memory: Array) -> None:
        if memory is not self._memory:
            self._memory, self._steps = memory, {}

    def _plan(self, arrays: Sequence[Array]) -> Iterator[Step]:
        raise NotImplementedError

    def _run_by_windows(self, scratch: Scratch, arrays: Sequence[Array]) -> None:
        raise NotImplementedError

    def _workspace(self) -> Array:
        return library().workspace(self._nbytes)

    def _each(self) -> Iterator[tuple[Part, Steps]]:
        """All parts, and what works on them."""
        for part in self._parts:
            if part.kind not in self._steps:
                floats = self._memory[: self._nbytes].view(FLOAT)
                self._steps[part.kind] = Steps(self._cut, part, floats, self._along[part.kind], self._post_ops)
            yield part, self._steps[part.kind]


def _do(step: Step) -> bool:
    if callable(step):
        return step()
    primitive, arrays = step
    primitive(*arrays)
    return True


class _Planned(Called):
    """As Called; the function gives what does it once more with the arrays."""

    def __init__(self, plan: Callable[..., Call], *arrays: Array) -> None:
        super().__init__(plan, *arrays)
        self._plan = plan

    def again(self) -> Call | None:
        arrays = all_there(self._arrays)
        return None if arrays is None else self._plan(*arrays)


class _WithFilters(InTiles):
    """A pass that reads w."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.arguments[WEIGHTS] = self._filters

    def _run_by_windows(self, scratch: Scratch, arrays: Sequence[Array]) -> None:
        assert self._filters.made_from is not None
        (lies, made_from), wanted = self._filters.made_from, self._by_windows.arguments[WEIGHTS]
        w = scratch("weights by windows", (wanted.nbytes // 4,), FLOAT)
        wanted.take(lies, made_from, w)
        pairs = zip(self.arguments, arrays, strict=True)
        self._by_windows.adapted(scratch, *(w if number == WEIGHTS else array for number, array in pairs))


class Forward(_WithFilters):
    """The forward pass."""

    what = "forward"

    def _plan(self, arrays: Sequence[Array]) -> Iterator[Step]:
        given = dict(zip(self.arguments, arrays, strict=True))
        x, y, u = self._cut.x.rows_in(given[SRC]), self._cut.y.rows_in(given[DST]), self._filters.each(given[WEIGHTS])
        numbers = arrays[len(arrays) - len(operands(self._post_ops)) :]
        for part, steps in self._each():
            yield from steps.forward(part, x, u, given.get(BIAS), y, numbers)


class BackwardData(_WithFilters):
    """The gradient of the bottom."""

    what = "backward_data"

    def _plan(self, arrays: Sequence[Array]) -> Iterator[Step]:
        to, w, of = arrays
        dx, dy, u = self._cut.x.rows_in(to), self._cut.y.rows_in(of), self._filters.each(w)
        for part, steps in self._each():
            yield from steps.backward_data(part, dx, u, dy)


class BackwardWeights(InTiles):
    """The gradients of the weights, which it gives in plain order, and of the biases."""

    what, weights = "backward_weights", DIFF_WEIGHTS

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.arguments[DIFF_WEIGHTS] = self._cut.weights

    def _workspace(self) -> Array:
        return library().workspace(self._nbytes + 2 * self._filters.nbytes)

    def _plan(self, arrays: Sequence[Array]) -> Iterator[Step]:
        return self._gradients(arrays, itertools.repeat(()))

    def _gradients(self, arrays: Sequence[Array], more: Iterable[Iterable[Step]]) -> Iterator[Step]:
        """Their steps; behind those of each part, what is more to be done with its tiles."""
        of_x, dw, *db, of_y = arrays
        x, dy = self._cut.x.rows_in(of_x), self._cut.y.rows_in(of_y)
        behind, nbytes = self._memory[self._nbytes :], self._filters.nbytes
        sums, addends = ([behind[i : i + nbytes].view(FLOAT).reshape(self._filters.shape)] for i in (0, nbytes))
        sums += db
        addends += [np.empty_like(b) for b in db]
        for i, ((part, steps), more_steps) in enumerate(zip(self._each(), more, strict=False)):
            du, *of_biases = addends if i else sums
            yield from steps.backward_weights(part, x, list(du), of_biases[0] if db else None, dy)
            if i:
                yield functools.partial(_add, sums, addends)
            yield from more_steps
        yield functools.partial(self._give, sums[0], dw, behind[nbytes:])
        for gradient in (dw, *db):
            yield functools.partial(is_finite, gradient)

    def _give(self, du: Array, dw: Array, memory: Array) -> bool:
        self._filters.give(du, dw, memory)
        return True

    def _run_by_windows(self, scratch: Scratch, arrays: Sequence[Array]) -> None:
        wanted = self._by_windows.arguments[DIFF_WEIGHTS]
        assert isinstance(wanted, Layout)
        x, dw, *others = arrays
        given = scratch("dw by windows", (wanted.nbytes // 4,), FLOAT)
        self._by_windows.adapted(scratch, x, given, *others)
        self._cut.weights.take(wanted, given, dw)


class Backward(BackwardWeights):
    """All gradients, as the two passes give them: tiles of dy are filled once. dx and G w come last."""

    def __init__(self, of_weights: BackwardWeights, of_data: BackwardData) -> None:
        cut, by_windows, parts = of_weights._cut, of_weights._by_windows, of_weights._parts
        super().__init__(cut, by_windows, (), parts, of_weights._along, of_weights._filters)
        self._of_weights, self._of_data = of_weights, of_data
        self.arguments |= {number: of_data.arguments[number] for number in (DIFF_SRC, WEIGHTS)}

    def _plan(self, arrays: Sequence[Array]) -> Iterator[Step]:
        *others, to, w = arrays
        self._of_data._work_in(self._memory)
        dx, u = self._cut.x.rows_in(to), self._of_data._filters.each(w)
        of_parts = (steps.backward_data(part, dx, u, None) for part, steps in self._of_data._each())
        return self._gradients(others, of_parts)

    def _run_by_windows(self, scratch: Scratch, arrays: Sequence[Array]) -> None:
        *others, dx, w = arrays
        self._of_weights._run_by_windows(scratch, others)
        self._of_data._run_by_windows(scratch, (dx, w, others[-1]))


def _add(sums: Sequence[Array], addends: Sequence[Array]) -> bool:
    for whole, addend in zip(sums, addends, strict=True):
        np.add(whole, addend, out=whole)
    return True
