"""The passes of a convolution in tiles, as _winograd says what these are."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, Generic

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Call, Called, Done, all_there
from pycaffe_lite.engines.onednn._arrays import FLOAT, NAMES, WRITTEN, Runs, Target, layout, read
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    BIAS,
    DIFF_DST,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DST,
    SRC,
    WEIGHTS,
    Layout,
    Lies,
    PostOp,
    operands,
)
from pycaffe_lite.engines.onednn._tile_plans import Kind, Plan, along_the_width, by_products
from pycaffe_lite.engines.onednn._tile_steps import GradientTiles, Step, Steps
from pycaffe_lite.engines.onednn._winograd import Cut, Part
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.layers._winograd import is_finite
from pycaffe_lite.memory import aligned

NO_MEMORY = aligned(0, "u1")


class InTiles(Generic[Kind]):
    """What computes a pass of a convolution in tiles: as Adaptive."""

    def __init__(self, plan: Plan[Kind]) -> None:
        self._plan, self._cut, self._by_windows, self._filters = plan, plan.cut, plan.by_windows, plan.filters
        self._memory, self._steps = NO_MEMORY, dict[Shape, Kind]()
        self._images = {SRC: plan.cut.x, DIFF_SRC: plan.cut.x, DST: plan.cut.y, DIFF_DST: plan.cut.y}
        self.arguments: dict[int, Lies] = {**plan.by_windows.arguments}

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
        return self._to_do(arrays)

    def _work_in(self, memory: Array) -> None:
        if memory is not self._memory:
            self._memory, self._steps = memory, {}

    def _to_do(self, arrays: Sequence[Array]) -> Iterator[Step]:
        raise NotImplementedError

    def _run_by_windows(self, scratch: Scratch, arrays: Sequence[Array]) -> None:
        raise NotImplementedError

    def _workspace(self) -> Array:
        return library().workspace(self._plan.nbytes)

    def _each(self) -> Iterator[tuple[Part, Kind]]:
        """All parts, and what works on them."""
        for part in self._cut.parts:
            if part.kind not in self._steps:
                self._steps[part.kind] = self._plan.new(part, self._memory[: self._plan.nbytes].view(FLOAT))
            yield part, self._steps[part.kind]


def _do(step: Step) -> bool:
    if callable(step):
        return step()
    primitive, arrays = step
    primitive(*arrays)
    return True


class _Planned(Called):
    """As Called, of a pass that has been made; what makes it once more is a function of the arrays."""

    def __init__(self, plan: Callable[..., Call], *arrays: Array) -> None:
        super().__init__(plan, *arrays)
        self._plan = plan

    def again(self) -> Call | None:
        arrays = all_there(self._arrays)
        return None if arrays is None else self._plan(*arrays)


class _WithFilters(InTiles[Steps]):
    """A pass that reads w."""

    what: ClassVar[str]
    """As Direct calls it."""

    def __init__(self, plan: Plan[Steps]) -> None:
        super().__init__(plan)
        self.arguments[WEIGHTS] = self._filters

    @classmethod
    def make(cls, cut: Cut, by_windows: Runs, post_ops: tuple[PostOp, ...] = ()) -> Runs | None:
        """None where it would not be fast."""
        plan = along_the_width(cls.what, cut, by_windows, post_ops)
        return None if plan is None else cls(plan)

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

    def _to_do(self, arrays: Sequence[Array]) -> Iterator[Step]:
        given = dict(zip(self.arguments, arrays, strict=True))
        x, y, u = self._cut.x.rows_in(given[SRC]), self._cut.y.rows_in(given[DST]), self._filters.all(given[WEIGHTS])
        numbers = arrays[len(arrays) - len(operands(self._plan.post_ops)) :]
        for part, steps in self._each():
            yield from steps.forward(part, x, u, given.get(BIAS), y, numbers)


class BackwardData(_WithFilters):
    """The gradient of the bottom."""

    what = "backward_data"

    def _to_do(self, arrays: Sequence[Array]) -> Iterator[Step]:
        to, w, of = arrays
        dx, dy, u = self._cut.x.rows_in(to), self._cut.y.rows_in(of), self._filters.all(w)
        for part, steps in self._each():
            yield from steps.backward_data(part, dx, u, dy)


class BackwardWeights(InTiles[GradientTiles]):
    """The gradients of the weights, which it gives in plain order, and of the biases."""

    def __init__(self, plan: Plan[GradientTiles]) -> None:
        super().__init__(plan)
        self.arguments[DIFF_WEIGHTS] = self._cut.weights

    @classmethod
    def make(cls, cut: Cut, by_windows: Runs) -> Runs | None:
        """None where it would not be fast."""
        plan = by_products(cut, by_windows) or along_the_width("backward_weights", cut, by_windows)
        return None if plan is None else cls(plan)

    def with_data(self, of_data: BackwardData) -> Backward | None:
        """Both at once; None where tiles of dy do not lie alike, as products want zeros behind theirs."""
        mine, others = self._plan, of_data._plan
        return Backward(self, of_data) if mine.cut is others.cut and mine.tiles == others.tiles else None

    def _workspace(self) -> Array:
        """Behind the tiles there is room for dU, and for as much again: what is added to it, and at the end Gᵀ dU."""
        return library().workspace(self._plan.nbytes + 2 * self._filters.nbytes)

    def _to_do(self, arrays: Sequence[Array]) -> Iterator[Step]:
        return self._gradients(arrays, itertools.repeat(()))

    def _gradients(self, arrays: Sequence[Array], more: Iterable[Iterable[Step]]) -> Iterator[Step]:
        """Their steps; behind those of each part, what is more to be done with its tiles."""
        of_x, dw, *db, of_y = arrays
        x, dy = self._cut.x.rows_in(of_x), self._cut.y.rows_in(of_y)
        behind, nbytes = self._memory[self._plan.nbytes :], self._filters.nbytes
        sums, addends = ([behind[i : i + nbytes].view(FLOAT).reshape(self._filters.shape)] for i in (0, nbytes))
        sums += db
        addends += [np.empty_like(b) for b in db]
        for i, ((part, steps), more_steps) in enumerate(zip(self._each(), more, strict=False)):
            yield from steps.backward_weights(part, x, dy, sums, addends if i else None)
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
        super().__init__(of_weights._plan)
        self._of_weights, self._of_data = of_weights, of_data
        self.arguments |= {number: of_data.arguments[number] for number in (DIFF_SRC, WEIGHTS)}

    def _to_do(self, arrays: Sequence[Array]) -> Iterator[Step]:
        *others, to, w = arrays
        self._of_data._work_in(self._memory)
        dx, u = self._cut.x.rows_in(to), self._of_data._filters.all(w)
        of_parts = (steps.backward_data(part, dx, u, None) for part, steps in self._of_data._each())
        return self._gradients(others, of_parts)

    def _run_by_windows(self, scratch: Scratch, arrays: Sequence[Array]) -> None:
        *others, dx, w = arrays
        self._of_weights._run_by_windows(scratch, others)
        self._of_data._run_by_windows(scratch, (dx, w, others[-1]))
