"""Layer cases: what a layer is fed, and a bench to run it on."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layer import Layer
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text


@dataclass(frozen=True)
class Values:
    """One bottom: its shape, and what draws its numbers."""

    shape: Shape
    draw: Callable[[np.random.Generator, Shape], Array]

    def more(self, items: int | None) -> Shape:
        """The shape with this many more items along its first axis; None: with no item at all."""
        return (0 if items is None else self.shape[0] + items, *self.shape[1:]) if self.shape else ()


def uniform(*shape: int, low: float = -1.0, high: float = 1.0, avoid: Sequence[float] = ()) -> Values:
    """Numbers between low and high, none within 0.01 of those to avoid: kinks, where no gradient can be measured."""

    def draw(rng: np.random.Generator, shape: Shape) -> Array:
        x = np.asarray(rng.uniform(low, high, shape))
        for kink in avoid:
            near = np.abs(x - kink) < 0.01
            x = np.where(near, kink + np.where(x < kink, -0.01, 0.01), x)
        return x

    return Values(shape, draw)


def integers(*shape: int, below: int, low: int = 0) -> Values:
    """Integers low <= n < below: labels, indices."""
    return Values(shape, lambda rng, shape: np.asarray(rng.integers(low, below, shape), np.float64))


@dataclass(frozen=True)
class LayerCase:
    """A layer under test.

    `params` are fields of its LayerParameter as prototxt, `tops` how many tops it is given. `ignored_tops` are those
    whose gradient it does not look at (a mask). `resizable` is False where another size of the first axis is another
    layer. `keep_params` leaves its learnable blobs as the fillers made them; otherwise they get random numbers.
    """

    type: str
    params: str = ""
    bottoms: Sequence[Values] = ()
    tops: int = 1
    phase: int = pb.TRAIN
    ignored_tops: Sequence[int] = ()
    resizable: bool = True
    keep_params: bool = False

    def __str__(self) -> str:
        """A short name, for pytest's ids."""
        fields = re.sub(r"\b\w+_param\b|[{}:]", " ", self.params)
        shapes = "+".join("x".join(map(str, v.shape)) for v in self.bottoms)
        tops = f"{self.tops} tops" if self.tops > 1 else ""
        phase = "TEST" if self.phase == pb.TEST else ""
        return " ".join(filter(None, [self.type, *fields.split(), shapes, tops, phase]))

    def prototxt(self, *, in_place: bool = False) -> str:
        """A net of Input blobs x0, x1, ... and the layer, named target, with tops y0, y1, ..."""
        bottoms = [f"x{i}" for i in range(len(self.bottoms))]
        tops = [f"y{j}" for j in range(self.tops)]
        if in_place:
            tops[0] = bottoms[0]
        shapes = " ".join(f"shape {{ {' '.join(f'dim: {d}' for d in v.shape)} }}" for v in self.bottoms)
        lines = ["force_backward: true"]
        if bottoms:
            lines.append(f'layer {{ name: "input" type: "Input" {_names("top", bottoms)} input_param {{ {shapes} }} }}')
        lines.append(f'layer {{ name: "target" type: "{self.type}" {_names("bottom", bottoms)} {_names("top", tops)}')
        return "\n".join([*lines, self.params, "}", ""])


def _names(field: str, names: Sequence[str]) -> str:
    return " ".join(f'{field}: "{name}"' for name in names)


@dataclass(frozen=True)
class Gradients:
    """What a backward pass left in the diffs of bottoms and parameters (copies)."""

    bottoms: list[Array]
    params: list[Array]


class Bench:
    """A case's net, filled with numbers that depend on the case and `seed` only."""

    file = "case.prototxt"

    def __init__(self, case: LayerCase, *, dtype: npt.DTypeLike = np.float64, in_place: bool = False) -> None:
        message, positions = parse_text(case.prototxt(in_place=in_place), pb.NetParameter, self.file)
        message.state.phase = case.phase  # type: ignore[assignment]
        self.case = case
        self.net = Net.from_message(message, positions, dtype=dtype, seed=1701)
        self.node = self.net._nodes[-1]
        self.layer: Layer = self.node.layer
        self.inputs = self.net._nodes[0].tops if case.bottoms else []
        self.fill()

    @property
    def has_backward(self) -> bool:
        return self.node.need_backward

    def fill(self, seed: int = 0, more_items: int | None = 0) -> None:
        """Draw bottoms, of `more_items` more than the case says (None: without any item), and parameters."""
        rng = np.random.default_rng([seed, zlib.crc32(str(self.case).encode())])
        for values, blob in zip(self.case.bottoms, self.inputs, strict=True):
            blob.reshape(*values.more(more_items))
            blob.data[...] = values.draw(rng, blob.shape)
        if not self.case.keep_params:
            rng = np.random.default_rng(seed)
            for blob in self.layer.blobs:
                blob.data[...] = rng.uniform(-1, 1, blob.shape)

    def forward(self) -> list[Array]:
        """A forward pass, with the same random numbers each time; the tops' data (copies)."""
        restart_random(self.net)
        self.net._forward(0, self.node.index)
        return [t.data.copy() for t in self.node.tops]

    def give_top_gradients(self) -> None:
        """Random ones to tops without a loss weight, NaN to those that backward is to ignore."""
        rng = np.random.default_rng(7)
        for j, top in enumerate(self.node.tops):
            if j in self.case.ignored_tops:
                top.diff[...] = np.nan
            elif not self.node.loss_weights[j]:
                top.diff[...] = rng.uniform(-1, 1, top.shape)

    def backward(self, poison: bool = True) -> Gradients:
        """A backward pass from `give_top_gradients`; bottoms' gradients start as NaN, unless poison is False."""
        for blob in self.inputs if poison else []:
            blob.diff[...] = np.nan
        self.give_top_gradients()
        self.net._backward(self.node.index, 0)
        return Gradients([b.diff.copy() for b in self.inputs], [p.diff.copy() for p in self.layer.blobs])

    def gradients(self) -> Gradients:
        """Forward, then backward from parameter gradients of zero."""
        self.forward()
        self.net.clear_param_diffs()
        return self.backward()


def restart_random(net: Net) -> None:
    """Let every layer draw the same random numbers again."""
    for node in net._nodes:
        node.layer._rng_made = None
