"""What runs in place behind a layer, as additions to the layer's primitive (oneDNN's post-ops).

BatchNorm with fixed statistics and Scale are y = x f + a with a number each for every channel; several in a row become
one, and a layer with weights may take them into those: f (W x + b) + a = (f W) x + (f b + a).

oneDNN's own ReLU turns NaN into 0. Behind layers with weights it is therefore PReLU with a slope of -0, which is an
array, so that the product is made: x (-0) is 0 where x < 0. Other primitives have no PReLU: there it is a step up that
is never taken down, x · min(1, max(0, x ∞)), and + 0, as a product with 0 may be -0. That takes longer, up to a third
of a convolution of few channels. Of -∞ both make NaN, so where a bias, f or a is infinite there is no tail. An overflow
of the sums themselves comes out as NaN.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.done import Done, Kept, Otherwise, together
from pycaffe_lite.engines.onednn._arrays import FLOAT, Adaptive, Runs, channels_innermost
from pycaffe_lite.engines.onednn._parameters import Prepared, Preparing
from pycaffe_lite.engines.onednn._primitive import (
    DST,
    WEIGHTS,
    Description,
    Layout,
    PostOp,
    operands,
    plain_layout,
)
from pycaffe_lite.engines.onednn.neurons import Elementwise
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.layers.batch_norm import BatchNorm
from pycaffe_lite.layers.dropout import Dropout
from pycaffe_lite.layers.eltwise import Eltwise
from pycaffe_lite.layers.relu import ReLU
from pycaffe_lite.layers.scale import Scale
from pycaffe_lite.proto import caffe_pb2 as pb

RELU, LINEAR, HARDSWISH, ADD, MULTIPLY = 0x20, 0x26, 0x34, 0x1FFF0, 0x1FFF1
LARGE = float(np.finfo(np.float32).max)
SLOPE = np.array([-0.0], FLOAT)
ADDEND = np.empty(0, FLOAT)
"""Stands for the blob to be added."""


def is_affine(layer: Layer) -> bool:
    """Whether it is y = x f + a for each channel; in phase TEST only. Several together are rounded otherwise than one
    after another, and training is the same to the bit whether or not somebody watches.
    """
    return isinstance(layer, BatchNorm | Scale) and layer.phase == pb.TEST and layer.is_affine()


def _is_neuron(layer: Layer) -> bool:
    """Whether a post-op computes it as its own primitive does; in phase TEST only, as few numbers are else numpy's."""
    return isinstance(layer, Elementwise) and layer.phase == pb.TEST


def _is_nothing(layer: Layer) -> bool:
    return isinstance(layer, Dropout) and layer.phase != pb.TRAIN


def absorbable(followers: Sequence[Layer], *, affine: bool = True) -> int:
    """How many of them a tail can begin with; `affine` says whether there may be BatchNorm and Scale among them."""

    def taken(layer: Layer) -> bool:
        return isinstance(layer, ReLU) or _is_neuron(layer) or _is_nothing(layer) or (affine and is_affine(layer))

    return len(list(itertools.takewhile(taken, followers)))


def absorbable_beyond(followers: Sequence[Layer]) -> int:
    """How many of them a tail can begin with where one adds another blob, that one among them; 0 where it can't."""
    count = absorbable(followers)
    behind = followers[count + 1 :]
    adds = count < len(followers) and is_sum(followers[count])
    return count + 1 + absorbable(behind, affine=False) if adds else 0


def is_sum(layer: Layer) -> bool:
    """Whether it is y = x1 + x2 + ..., each once."""
    return isinstance(layer, Eltwise) and layer.is_sum


class Tail:
    """Layers that run in place on a top (N, C, ...), one behind the other.

    One of them at most adds another blob, which lies with the channels innermost, or with `onto` is what the top's
    memory held before; behind it there is no BatchNorm and no Scale. With `folds` the first that are y = x f + a are
    not among the post-ops: `folded` makes them part of W and the biases.
    """

    def __init__(
        self, layers: Sequence[Layer], *, folds: bool = False, slopes: bool = False, onto: bool = False
    ) -> None:
        self._slopes, self._onto = slopes, onto
        done = [layer for layer in layers if not _is_nothing(layer)]
        self._stages = [(affine, list(group)) for affine, group in itertools.groupby(done, is_affine)]
        self._leading = self._stages.pop(0)[1] if folds and self._stages[:1] and self._stages[0][0] else []
        self._layers = done[len(self._leading) :]
        self._versions: list[int | None] = [None]
        self._seen: list[bytes] | None = None
        self._numbers: list[Array] | None = None

    def post_ops(self, y: Shape) -> tuple[PostOp, ...]:
        """For a primitive that makes y."""
        vector = plain_layout((1, *y[1:2], *[1] * (len(y) - 2)))
        ops: list[PostOp] = []
        for affine, layers in self._stages:
            if affine:
                ops += [(MULTIPLY, vector), (ADD, vector)]
            else:
                ops += [op for layer in layers for op in self._post_ops_of(layer, y)]
        return tuple(ops)

    def _post_ops_of(self, layer: Layer, y: Shape) -> list[PostOp]:
        if is_sum(layer):
            return [(1.0,) if self._onto else (ADD, channels_innermost(y))]
        if isinstance(layer, Elementwise):
            return [layer.post_op()]
        slope = layer._message.relu_param.negative_slope
        if slope:
            return [(RELU, slope, 0.0)]
        return [(plain_layout((1,) * len(y)),)] if self._slopes else [(HARDSWISH, LARGE, 0.0), (LINEAR, 1.0, 0.0)]

    def _numbers_of(self, layer: Layer) -> list[Array]:
        if is_sum(layer):
            return [] if self._onto else [ADDEND]
        if isinstance(layer, Elementwise):
            return []
        return [SLOPE] if self._slopes and not layer._message.relu_param.negative_slope else []

    @property
    def is_folded(self) -> bool:
        """Whether W and the biases are to be those that `folded` gives."""
        return bool(self._leading)

    @property
    def keeps_infinite(self) -> bool:
        """Whether its post-ops take each number for itself, all alike, and make none finite that was not."""
        return all(isinstance(layer, ReLU) for layer in self._layers)

    def folded(self, w: Array, biases: Sequence[Array]) -> tuple[Array, Array] | None:
        """f W and f b + a; None where these are not finite."""
        f, a = _affine(self._leading)
        w, b = w * f.reshape(-1, *[1] * (w.ndim - 1)), sum((f * b for b in biases), start=a)
        return (w, b) if np.isfinite(w).all() and np.isfinite(b).all() else None

    def folded_version(self) -> list[int | None]:
        """As Blob.written, of all that f and a come from."""
        return [blob.written("data") for layer in self._leading for blob in layer.blobs]

    def numbers(self, biases: Sequence[Blob]) -> list[Array] | None:
        """The post-ops' arrays, made from the layers' blobs; None where these or the biases given are not finite.
        ADDEND is among them where another blob is added.
        """
        blobs = [*biases, *(blob for layer in self._layers for blob in layer.blobs)]
        versions = [blob.written("data") for blob in blobs]
        if versions != self._versions or None in versions:
            self._versions = versions
            seen = [blob.stored("data").tobytes() for blob in blobs]
            if seen != self._seen:
                self._seen = seen
                numbers: list[Array] = []
                for affine, layers in self._stages:
                    numbers += _affine(layers) if affine else [n for layer in layers for n in self._numbers_of(layer)]
                all_finite = all(np.isfinite(a).all() for a in (*(b.stored("data") for b in biases), *numbers))
                self._numbers = numbers if all_finite else None
        return self._numbers


def see_finite(*biases: Array) -> None:
    """Raise Otherwise where they may not be: there is no tail then."""
    for b in biases:
        if not math.isfinite(np.add.reduce(b)):
            raise Otherwise


def _affine(layers: Sequence[Layer]) -> tuple[Array, Array]:
    """f and a of all of them together."""
    factor, addend = np.ones(1, np.float32), np.zeros(1, np.float32)
    for layer in layers:
        assert isinstance(layer, BatchNorm | Scale)
        f, a = layer.affine()
        factor, addend = factor * f, addend * f + a
    return factor, addend


class Behind(Protocol):
    """What comes behind a primitive's own result."""

    @property
    def is_folded(self) -> bool:
        """Whether it is partly in W and the biases."""

    @property
    def keeps_infinite(self) -> bool:
        """Whether the rest takes each number for itself, all alike, and makes none finite that was not."""

    def post_ops(self, y: Shape) -> tuple[PostOp, ...]:
        """What is not, for a primitive that makes y."""


class Primitives(Protocol):
    """What a layer runs while its bottoms keep their shapes."""

    def forward_with(self, tail: Tail) -> Runs | None:
        """The forward pass with the tail's; None where it would not be done as without."""


Maker = Callable[[tuple[PostOp, ...]], Description | None]
"""Makes the description of a forward pass with post-ops."""


def tailed(plain: Description, make: Maker, arguments: dict[int, Layout], tail: Behind) -> Adaptive | None:
    """What `make` makes of a tail's post-ops, if it is done as `plain` and so comes to the same numbers before them.
    `arguments` are those of a primitive without a tail; the tail's come behind.
    """
    ops = tail.post_ops(plain.layout(DST).shape)
    made = make(ops)
    if made is None or made.implementation != plain.implementation:
        return None
    if WEIGHTS in arguments and made.layout(WEIGHTS) is not plain.layout(WEIGHTS):
        return None
    return Adaptive(made, {**arguments, **operands(ops)})


ALONE, BEHIND, APART, BEYOND, ONTO = "alone", "behind", "apart", "beyond", "onto"
"""Ways to run: without a tail, with one in place, with one whose top is another, with one that goes on behind a sum,
which is a blob of its own or written over what is added.
"""


class WithTail(Preparing):
    """To be mixed into a layer that may run with a tail. Its blobs but for the first are biases."""

    folds = False
    """Whether a Tail may fold into its W and biases, which `_folded` then gives."""
    slopes = False
    """Whether its primitives have PReLU among their post-ops."""
    _primitives: Primitives | None
    _tails: dict[str, tuple[Tail, Primitives | None, Runs | None]]
    """By the way to run: the tail, and what runs with it, made by these primitives."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._tails = {}
        super().setup(bottom, top)

    def _parameters(self, run: Runs) -> list[Array]:
        """Its own, as the primitive takes them."""
        return []

    def _folded(self, run: Runs, tail: Tail) -> list[Array] | None:
        """Those with the tail's first layers in them, as the primitive takes them; None where these are not finite."""
        raise NotImplementedError

    def _forward(
        self, run: Runs, parameters: Sequence[Array], numbers: Sequence[Array], bottom: Blobs, top: Blobs
    ) -> Done | None:
        """The forward pass by this primitive, which takes these numbers last."""
        raise NotImplementedError

    def absorbs(self, followers: Sequence[Layer]) -> int:
        return absorbable(followers) if self.blobs.dtype == FLOAT else 0

    def forward_with(self, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> Done | None:
        prepared = self._prepared_with(BEHIND, followers)
        if prepared is None:
            return super().forward_with(followers, bottom, top)
        done = self._forward(prepared.run, prepared.parameters, prepared.numbers, bottom, top)
        if self.phase == pb.TEST:
            return done
        biases = [blob.stored("data") for blob in self.blobs[1:]]
        return together([Kept(see_finite, *biases), self._with_copy(prepared.parameters, done)])

    def _forward_alone(self, run: Runs, bottom: Blobs, top: Blobs) -> Done | None:
        """The forward pass without a tail, which is `run`."""
        prepared = self._prepared_alone(run)
        done = self._forward(prepared.run, prepared.parameters, (), bottom, top)
        return done if self.phase == pb.TEST else self._with_copy(prepared.parameters, done)

    def _prepared_alone(self, run: Runs) -> Prepared:
        """What a forward pass without a tail runs, which is `run`: as last time, if nothing can have changed."""
        prepared = self._prepared.get(ALONE)
        if prepared is None or not prepared.hold(self._primitives):
            made = self._parameters(run)  # which may forget what is prepared
            prepared = self._prepared[ALONE] = Prepared(self._primitives, run, made, blobs=self.blobs)
        return prepared

    def _prepared_with(self, way: str, followers: Sequence[Layer]) -> Prepared | None:
        """What a forward pass with these layers, always the same, runs: as last time, if nothing can have changed."""
        prepared = self._prepared.get(way)
        if prepared is None or not prepared.hold(self._primitives):
            prepared = self._prepare(way, followers)
            if prepared is not None:
                self._prepared[way] = prepared
        return prepared

    def _prepare(self, way: str, followers: Sequence[Layer]) -> Prepared | None:
        if way not in self._tails:
            self._tails[way] = Tail(followers, folds=self.folds, slopes=self.slopes, onto=way == ONTO), None, None
        tail, made_by, run = self._tails[way]
        if self._primitives is not made_by:
            run = None if self._primitives is None else self._primitives.forward_with(tail)
            self._tails[way] = tail, self._primitives, run
        return None if run is None else self._prepare_with(tail, run, self._primitives, followers)

    def _prepare_with(self, tail: Tail, run: Runs, primitives: object, followers: Sequence[Layer]) -> Prepared | None:
        """One of these primitives, with what it takes; None where that is not finite."""
        parameters = self._folded(run, tail) if tail.is_folded else self._parameters(run)
        numbers = tail.numbers([] if tail.is_folded else self.blobs[1:])
        if parameters is None or numbers is None:
            return None
        blobs = (blob for layer in (self, *followers) for blob in layer.blobs)
        return Prepared(primitives, run, parameters, numbers, blobs)
