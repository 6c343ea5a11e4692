"""What layers with one bottom, one top and no weights share: both passes in the order in which the bottom lies."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.engines.onednn._arrays import Adaptive, Runs, channels_innermost, is_fast, takes
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    DIFF_DST,
    DIFF_SRC,
    DST,
    FORWARD_INFERENCE,
    FORWARD_TRAINING,
    SRC,
    WORKSPACE,
    Description,
    Layout,
    plain_layout,
)
from pycaffe_lite.engines.onednn._tail import Maker, Tail, tailed
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.order import Order, order_of


@dataclass
class Passes:
    """Forward and, where it is needed, backward, for a bottom and a top that lie in one order."""

    order: Order
    x: Layout
    y: Layout
    workspace: int
    """Bytes that forward leaves for backward."""
    forward: Adaptive
    backward: Adaptive | None
    _describe: Maker
    _arguments: dict[int, Layout]

    def forward_with(self, tail: Tail) -> Adaptive | None:
        return tailed(self.forward.description, self._describe, self._arguments, tail)

    @classmethod
    def make(
        cls,
        kind: str,
        order: Order,
        x: Shape,
        y: Shape,
        parameters: Sequence[Any],
        algorithm: int,
        *,
        need_backward: bool,
        reads_x: bool,
    ) -> Passes | None:
        """dnnl_`kind`_forward and _backward; None where one has no fast implementation. `reads_x`: whether backward
        takes the bottom's data.
        """
        lies = plain_layout if order is Order.PLAIN else channels_innermost
        source, target, engine = lies(x), lies(y), library().engine
        both = source.handle, target.handle
        propagation = FORWARD_TRAINING if need_backward else FORWARD_INFERENCE
        describe = functools.partial(
            Description.make, f"{kind}_forward", engine, propagation, algorithm, *both, *parameters
        )
        forward = describe()
        if forward is None or not is_fast(forward):
            return None
        kept = forward.layout(WORKSPACE)
        between = {WORKSPACE: kept} if kept.nbytes else {}
        arguments, backward = {SRC: source, DST: target, **between}, None
        if need_backward:
            read = (source.handle,) if reads_x else ()
            made = Description.make(f"{kind}_backward", engine, algorithm, *both, *read, *parameters, forward)
            if made is None or not is_fast(made):
                return None
            reads = {SRC: source} if reads_x else {}
            backward = Adaptive(made, {DIFF_SRC: source, DIFF_DST: target, **reads, **between})
        return cls(
            order,
            source,
            target,
            kept.nbytes,
            Adaptive(forward, arguments),
            backward,
            lambda ops: describe(post_ops=ops),
            arguments,
        )


PASSING = frozenset({"workspace", "x", "y"})
"""Working memory that Following needs during a forward pass, or from there to backward."""


class Following(Layer):
    """To be mixed into numpy's layer, which computes where `_make` gives nothing."""

    _backward_reads_x = False
    _primitives: Passes | None = None
    _made: dict[Order, Passes | None]
    _made_for: tuple[Shape, ...] = ()
    _chosen: Passes | None = None
    _chosen_for: Callable[[], Array | None] = staticmethod(lambda: None)
    """The bottom's data that `_chosen` are for."""

    def _make(self, order: Order, x: Shape, y: Shape) -> Passes | None:
        """The passes for these shapes."""
        raise NotImplementedError

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        fast = self._choose_for(Order.CHANNELS_INNERMOST, bottom, top) is not None
        return fast or super().takes_any_order(bottom, top)

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return self._choose_for(Order.PLAIN, bottom, top) is None

    def forward(self, bottom: Blobs, top: Blobs) -> Done | None:
        self._primitives = passes = self._choose(bottom, top)
        if passes is None:
            return super().forward(bottom, top)
        return self._forward(passes.forward, [], [], bottom, top)

    def _forward(
        self, run: Runs, parameters: Sequence[Array], numbers: Sequence[Array], bottom: Blobs, top: Blobs
    ) -> Done | None:
        """The forward pass by this primitive of the passes chosen, which takes these numbers last."""
        passes = self._primitives
        assert passes is not None
        x, y = bottom[0].stored("data"), top[0].open("data", passes.order)
        return run.adapted(self._scratch, x, y, *self._workspace(passes), *numbers)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if (passes := self._primitives) is None:
            return super().backward_cpu(top, propagate_down, bottom)
        if not propagate_down[0]:
            return NOTHING
        x = [bottom[0].stored("data")] if self._backward_reads_x else []
        dy, dx = top[0].stored("diff"), bottom[0].open("diff", passes.order)
        assert passes.backward is not None
        return passes.backward.adapted(self._scratch, dx, dy, *x, *self._workspace(passes))

    def _workspace(self, passes: Passes) -> list[Array]:
        return [self._scratch("workspace", (passes.workspace,), np.uint8)] if passes.workspace else []

    def _choose(self, bottom: Blobs, top: Blobs) -> Passes | None:
        """Those in the order in which the bottom lies or, if these are not fast, with the channels innermost."""
        x = bottom[0].stored("data")
        if self._chosen_for() is not x:
            self._chosen_for, self._chosen = weakref.ref(x), self._choose_for(order_of(x), bottom, top)
        return self._chosen

    def _choose_for(self, order: Order, bottom: Blobs, top: Blobs) -> Passes | None:
        shapes = bottom[0].shape, top[0].shape
        if order is Order.BATCH_INNERMOST or len(top) > 1 or len(shapes[0]) != 4 or not takes([*bottom, *top]):
            return None
        if shapes != self._made_for:
            self._made_for, self._made = shapes, {}
        for way in (order, Order.CHANNELS_INNERMOST):
            if way not in self._made:
                self._made[way] = self._make(way, *shapes)
            if (made := self._made[way]) is not None:
                return made
        return None
