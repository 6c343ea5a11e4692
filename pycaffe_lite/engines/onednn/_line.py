"""Convolutions and poolings of which each reads what the one before has made, from an image on.

For the first convolution of an image, and for those of each channel by itself, oneDNN's kernels are faster where 16
channels lie together, and then all places (its blocks): one thread, 16 images, 0.86 and 0.7 of the time. Pointwise ones
and poolings are level, all others slower, up to 1.13. So what is between the layers, and nobody sees, lies as the layer
likes that writes it; the last top is put in order.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pycaffe_lite._typing import Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.done import Called, Done, Several
from pycaffe_lite.engines.onednn._arrays import FLOAT, Adaptive, layout, put, read
from pycaffe_lite.engines.onednn._parameters import Prepared
from pycaffe_lite.engines.onednn._primitive import DST, SRC, Layout
from pycaffe_lite.engines.onednn._tail import Tail, WithTail, absorbable
from pycaffe_lite.layer import Layer
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.order import Order

CHANNELS = 16
"""In a block: other numbers are filled up."""
PUT_IN_ORDER = 1 / 16
"""The last top has at most this part of the first one's numbers: to put a quarter in order takes what is gained."""
BETWEEN = ("between 0", "between 1")
"""Working memory for what is between."""


class InLine(WithTail):
    """To be mixed into a layer that can be part of a line."""

    def suits_line(self, x: Shape, y: Shape) -> bool:
        """Whether it makes tops of this shape of bottoms of that by a fast primitive."""
        raise NotImplementedError

    def run_in_line(self, lies: Layout | None, x: Shape, y: Shape, tail: Tail) -> Adaptive | None:
        """What makes them of bottoms that lie so, or in plain order, with the tail behind; None where none is fast."""
        raise NotImplementedError


@dataclass
class _Stage:
    """A layer of the line, and those behind it in its pass."""

    layer: InLine
    behind: Sequence[Layer]
    x: Shape
    y: Shape


def _stages(layers: Sequence[Layer], shapes: Sequence[Shape]) -> Iterator[_Stage]:
    """As far as all of them suit."""
    i = 0
    while i < len(layers):
        layer, x, y = layers[i], shapes[i], shapes[i + 1]
        if len(y) != 4 or y[1] % CHANNELS or not isinstance(layer, InLine) or not layer.suits_line(x, y):
            return
        count = absorbable(layers[i + 1 :])
        yield _Stage(layer, layers[i + 1 : i + 1 + count], x, y)
        i += 1 + count


def length(layers: Sequence[Layer], shapes: Sequence[Shape]) -> int:
    """How many layers, from the first on, are a line worth while; 0 where none. `shapes` are those of the first one's
    bottom and of all tops.
    """
    found = longest = 0
    for i, stage in enumerate(_stages(layers, shapes)):
        found += 1 + len(stage.behind)
        if i and math.prod(stage.y) <= PUT_IN_ORDER * math.prod(shapes[1]):
            longest = found
    return longest


class Line:
    """The forward passes of these layers, for bottoms and tops of these shapes."""

    def __init__(self, layers: Sequence[Layer], shapes: Sequence[Shape]) -> None:
        self.shapes = shapes
        self._runs: list[tuple[_Stage, Adaptive, Tail]] = []
        """Empty where there is no such line."""
        self._steps: list[Prepared] = []
        stages = list(_stages(layers, shapes))
        if sum(1 + len(stage.behind) for stage in stages) < len(layers):
            return  # these shapes do not suit all of them
        lies: Layout | None = None
        for stage in stages:
            tail = Tail(stage.behind, folds=stage.layer.folds, slopes=stage.layer.slopes)
            run = stage.layer.run_in_line(lies, stage.x, stage.y, tail)
            if run is None:
                self._runs.clear()
                return
            self._runs.append((stage, run, tail))
            lies = run.arguments[DST]

    def forward(self, bottom: Blob, top: Blob, scratch: Scratch) -> Done | None:
        """None, and nothing is done, where there is no such line, or weights are not finite."""
        if not self._steps or not all(step.hold(self) for step in self._steps):
            self._steps = list(self._prepare())
        if not self._steps or len(self._steps) < len(self._runs):
            return None
        runs = [run for _, run, _ in self._runs]
        most = max(run.arguments[DST].nbytes for run in runs)
        rooms = [scratch(name, (most // 4,), FLOAT) for name in BETWEEN]
        given, wanted = bottom.stored("data"), runs[0].arguments[SRC]
        source = read(given, wanted, scratch, "x")
        done: list[Done] = []
        if source is not given:
            done.append(Called(functools.partial(put, layout(given), wanted), given, source))
        for i, (run, step) in enumerate(zip(runs, self._steps, strict=True)):
            target = rooms[i % 2]
            run(source, *step.parameters, target, *step.numbers)
            done.append(run)
            source = target
        y = top.open("data", Order.CHANNELS_INNERMOST)
        put_in_order = functools.partial(put, runs[-1].arguments[DST], layout(y))
        put_in_order(source, y)
        return Several([*done, Called(put_in_order, source, y)])

    def _prepare(self) -> Iterator[Prepared]:
        """As many as have finite weights."""
        for stage, run, tail in self._runs:
            prepared = stage.layer._prepare_with(tail, run, self, stage.behind)
            if prepared is None:
                return
            yield prepared
