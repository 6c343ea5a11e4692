"""Layers that read several blobs as if they were one, those of a Concat, without putting them together.

A convolution of x1, x2, ... one behind the other is the sum of their convolutions, W = (W1 | W2 | ...):

    y = W1 x1 + b        y += W2 x2        ...

Pooling is done channel by channel, so what is put together are the results, which are smaller.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pycaffe_lite._typing import Shape
from pycaffe_lite.engines.onednn._arrays import FLOAT, Runs, layout, put
from pycaffe_lite.engines.onednn._convolution import ConvolutionPrimitives
from pycaffe_lite.engines.onednn._parameters import Prepared
from pycaffe_lite.engines.onednn._primitive import WEIGHTS, PostOp
from pycaffe_lite.engines.onednn._tail import Tail
from pycaffe_lite.layer import Layer
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.layers._im2col import Geometry


def channels(parts: Sequence[Shape]) -> list[slice]:
    """Where each of them is in the whole."""
    ends = [0, *itertools.accumulate(shape[1] for shape in parts)]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


@dataclass
class _Step:
    """What comes behind the convolution of one part: those before it are added, and after the last one is the tail."""

    adds: bool
    tail: Tail | None
    is_folded: bool
    keeps_infinite = False

    def post_ops(self, y: Shape) -> tuple[PostOp, ...]:
        sum_up: tuple[PostOp, ...] = ((1.0,),) if self.adds else ()
        return sum_up + (() if self.tail is None else self.tail.post_ops(y))


class ConvolutionOfParts:
    """The forward pass for parts (N, C_i, H, W), weights (O, ΣC_i, h, w) and tops (N, O, H', W'), with these layers
    behind it.
    """

    def __init__(
        self,
        parts: Sequence[Shape],
        w: Shape,
        y: Shape,
        geometry: Geometry,
        followers: Sequence[Layer],
        *,
        bias: bool,
    ) -> None:
        self.parts = parts
        self._tail = Tail(followers, folds=True, slopes=True)
        self._steps: list[Prepared] = []
        self._runs: list[Runs] = []
        if (len(parts) - 1) * y[1] <= w[1]:
            made = list(self._make(w, y, geometry, bias))
            self._runs = made if len(made) == len(parts) else []

    def _make(self, w: Shape, y: Shape, geometry: Geometry, bias: bool) -> Iterator[Runs]:
        """A primitive for each part, as far as there are fast ones."""
        for i, shape in enumerate(self.parts):
            tail = self._tail if i == len(self.parts) - 1 else None
            step = _Step(i > 0, tail, self._tail.is_folded and i == 0)
            w_of_part = w[0], shape[1], *w[2:]
            made = ConvolutionPrimitives(shape, w_of_part, y, geometry, bias=bias and i == 0, learning=False)
            run = made.forward_with(step) if made.has("forward") else None
            if run is None:
                return
            yield run

    def steps(self, layers: Sequence[Layer], scratch: Scratch) -> list[Prepared]:
        """What to run for each part, one after the other, on a top that lies as the first one's DST. Nothing where that
        is not fast, would take longer than to put the parts together, or weights are not finite. `layers` are the
        convolution and those behind it.
        """
        if not self._steps or not self._steps[0].hold(self):
            self._steps = list(self._prepare(layers, scratch)) if self._runs else []
        return self._steps

    def _prepare(self, layers: Sequence[Layer], scratch: Scratch) -> Iterator[Prepared]:
        own, tail = layers[0].blobs, self._tail
        w, *biases = (blob.stored("data") for blob in own)
        numbers = tail.numbers([] if tail.is_folded else own[1:])
        folded = tail.folded(w, biases) if tail.is_folded else (w, *biases)
        if numbers is None or folded is None:
            return
        w, *biases = folded
        blobs = [blob for layer in layers for blob in layer.blobs]
        for i, (run, here) in enumerate(zip(self._runs, channels(self.parts), strict=True)):
            wanted, part = run.arguments[WEIGHTS], w[:, here]
            copy = scratch(f"part {i} of the weights", (wanted.nbytes // 4,), FLOAT)
            put(layout(part), wanted, part, copy)
            last = i == len(self._runs) - 1
            yield Prepared(self, run, [copy, *(biases if i == 0 else [])], numbers if last else (), blobs)
