"""The three passes of a convolution over two spatial axes by oneDNN's direct kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pycaffe_lite._typing import Shape
from pycaffe_lite.engines.onednn._arrays import Adaptive, Runs, channels_innermost, first_fast, is_fast, overhang
from pycaffe_lite.engines.onednn._in_groups import InGroups, group_of
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    BIAS,
    DIFF_BIAS,
    DIFF_DST,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DST,
    FORWARD_TRAINING,
    SRC,
    WEIGHTS,
    Description,
    Handle,
    Layout,
    PostOp,
    any_layout,
    dims,
    operands,
    plain_layout,
)
from pycaffe_lite.engines.onednn._tail import Behind, tailed
from pycaffe_lite.layers._im2col import Geometry

DIRECT = 1
FEW_CHANNELS = 4  # of a bottom: oneDNN's kernels for these read it as they like
WIDE = 64
"""Columns of tops from which on, without AVX-512, the gradients of W for bottoms of FEW_CHANNELS are made faster in
blocks. One thread, ms: VGG-16's conv1_1 69 and 29, SqueezeNet's conv1 141 and 105, ResNet-50's 42 and 35, but
cifar10_quick's 10 and 11.
"""
THIN, LARGE = 32, 5
"""Fewer channels than THIN, seen through a LARGE kernel: the gradient of such bottoms is made faster in blocks. LeNet's
conv2, one thread: 4.1 ms with the channels innermost, 3.0 in blocks; with 32 channels 3.2 and 4.0.
"""
MANY_PRODUCTS = 100
"""Products of a place, as many as W has numbers, by the channels of bottom and top: without AVX-512 so many make up for
putting bottoms and gradients of tops in blocks, in which the gradients of W are made 1.2 to 1.7 times as fast. With one
thread ResNet-50's step takes 0.96 to 0.99 of the time so, SqueezeNet's 0.90 to 0.93, MobileNet's 0.97 to 0.98.
"""
FEW_PLACES = 256
"""Of an image: 1 by 1 convolutions of so many take several images for one, whose places they need not tell apart.
ResNet-50's, 8 images of 14 by 14 and 7 by 7, one and two threads: forward passes take 0.87 to 1.05 of the time, the
gradients of their bottoms 0.87 to 1. Gradients of W would take 1 to 1.28, and larger images gain nothing.
"""
SPILLS = 16
"""Channels of a group, below which oneDNN's 1 by 1 kernels with a stride write behind their scratchpad while they make
the gradients of W: below 8, with AVX-512 below 16 (github.com/uxlfoundation/oneDNN, issue 6035, open in version 3.12).
"""
_ARGUMENTS = {
    "forward": (SRC, WEIGHTS, DST),
    "backward_data": (DIFF_SRC, WEIGHTS, DIFF_DST),
    "backward_weights": (SRC, DIFF_WEIGHTS, DIFF_DST),
}
"""What is x, W and y, or of their gradients, in each pass."""


Passed = tuple[Description, dict[int, Layout]]
"""A primitive, and how its arguments lie."""


def weights_layout(w: Shape, group: int) -> Layout:
    """How weights (O, C / group, h, w) lie, as primitives know them."""
    return plain_layout(w if group == 1 else (group, w[0] // group, *w[1:]))


class Direct:
    """The three passes for bottoms (N, C, H, W), weights (O, C / group, h, w) and tops (N, O, H', W'); with `in_groups`
    gradients of W and b are added up some images at a time, where these have many places, and may be made in blocks.
    """

    def __init__(self, x: Shape, w: Shape, y: Shape, geometry: Geometry, *, bias: bool, in_groups: bool = True) -> None:
        self._x, self._y, group = x, y, geometry.group
        self._group_of_images = group_of(y) if in_groups else y[0]
        self.weights = weights_layout(w, group)
        self._biases = plain_layout((w[0],))
        self.bias = self._biases if bias else None
        self._windows = (
            dims(geometry.stride),
            dims([d - 1 for d in geometry.dilation]),
            dims(geometry.pad),
            dims(overhang(geometry.extent, geometry.stride, geometry.pad, x, y)),
        )
        self._few, self._thin = x[1] <= FEW_CHANNELS, x[1] < THIN and min(w[2:]) >= LARGE
        self._spills = math.prod(w[2:]) == 1 and math.prod(geometry.stride) > 1 and w[1] < SPILLS
        products = math.prod(w) / (x[1] + y[1])
        self._in_blocks = in_groups and not library().has_avx512 and products >= MANY_PRODUCTS
        self._images: dict[Layout, Layout] = {}
        """How bottoms and tops lie, by how they would as one image, where they are taken for one."""
        if x[0] > 1 and math.prod(x[2:]) <= FEW_PLACES and geometry.pointwise and group == 1:
            self._images = {_one_image(shape): channels_innermost(shape) for shape in (x, y)}
        self._made: dict[str, Adaptive] = {}
        self._descriptions: dict[str, Description | None] = {}
        """Of the passes that somebody has asked for."""

    def has(self, what: str) -> bool:
        """Whether "forward", "backward_data" or "backward_weights" has a fast implementation, and forward too."""
        return self._description(what) is not None

    def forward(self) -> Runs:
        """To be asked for where there is a fast one."""
        made = self._primitive("forward")
        assert made is not None
        return made

    def forward_with(self, tail: Behind) -> Runs | None:
        plain = self._description("forward")
        assert plain is not None
        x, y = plain.layout(SRC).handle, plain.layout(DST).handle
        bias = self._biases if tail.is_folded else self.bias
        arguments = self._arguments("forward", plain, bias)
        return tailed(plain, lambda ops: self._make("forward", x, y, bias, ops), arguments, tail)

    def forward_from(self, lies: Layout | None, tail: Behind) -> Adaptive | None:
        """The forward pass with the tail's, for a bottom that lies so, or in plain order, and a top that lies as the
        primitive likes; None where there is none that is fast.
        """
        x = plain_layout(self._x) if lies is None else lies
        y, bias, ops = any_layout(self._y, DST), self._biases if tail.is_folded else self.bias, tail.post_ops(self._y)
        made = self._make("forward", x.handle, y, bias, ops)
        if made is None or not is_fast(made):
            return None
        return Adaptive(made, {**self._arguments("forward", made, bias), **operands(ops)})

    def backward_data(self) -> Runs | None:
        return self._primitive("backward_data")

    def backward_weights(self) -> Runs | None:
        run = self._primitive("backward_weights")
        return run if run is None or self._group_of_images == self._x[0] else InGroups(run, self._group_of_images)

    def passed(self, what: str) -> Passed | None:
        """The primitive for a pass, and how its arguments lie."""
        description = self._description(what)
        return None if description is None else (description, self._arguments(what, description, self.bias))

    def _primitive(self, what: str) -> Adaptive | None:
        if what not in self._made and (passed := self.passed(what)) is not None:
            self._made[what] = Adaptive(*passed)
        return self._made.get(what)

    def _arguments(self, what: str, description: Description, bias: Layout | None) -> dict[int, Layout]:
        """How the arguments of a pass lie, in their order; without biases where there are none."""
        x, w, y = _ARGUMENTS[what]
        biases = {} if bias is None else {"forward": {BIAS: bias}, "backward_weights": {DIFF_BIAS: bias}}.get(what, {})
        there = (x, w, *biases, y)
        chosen = {a: biases.get(a) or description.layout(a) for a in there}
        return {a: self._images.get(lies, lies) for a, lies in chosen.items()}

    def _description(self, what: str) -> Description | None:
        if what not in self._descriptions:
            is_wrong = what == "backward_weights" and self._spills
            self._descriptions[what] = None if is_wrong else first_fast(self._describe(what))
        return self._descriptions[what]

    def _describe(self, what: str) -> Iterator[Any]:
        """Ways to make the description of one pass, what is liked best first."""
        source, _, target = _ARGUMENTS[what]
        num = self._group_of_images if what == "backward_weights" else self._x[0]
        images, made = (num, *self._x[1:]), (num, *self._y[1:])
        anyhow = any_layout(images, source), any_layout(made, target)
        innermost = channels_innermost(images).handle, channels_innermost(made).handle
        ways = [innermost, anyhow]
        if what == "backward_weights" and self._in_blocks:
            ways.reverse()
        if self._few or (self._thin and what == "backward_data"):
            ways.insert(0, (anyhow[0], innermost[1]))
        if self._few and what == "backward_weights" and made[-1] >= WIDE and not library().has_avx512:
            ways.insert(0, (plain_layout(images).handle, anyhow[1]))
        if self._images and what != "backward_weights":
            ways.insert(0, (_one_image(self._x).handle, _one_image(self._y).handle))
        for x, y in ways:
            yield lambda x=x, y=y: self._make(what, x, y, self.bias)

    def _make(
        self, what: str, x: Handle, y: Handle, bias: Layout | None, post_ops: tuple[PostOp, ...] = ()
    ) -> Description | None:
        weights, biases = any_layout(self.weights.shape, _ARGUMENTS[what][1]), bias.handle if bias else None
        shapes: tuple[Any, ...] = (x, weights, y) if what == "backward_data" else (x, weights, biases, y)
        kind: tuple[int, ...] = (DIRECT,)
        hint: tuple[Any, ...] = ()
        if what == "forward":
            kind = FORWARD_TRAINING, DIRECT
        elif (forward := self._description("forward")) is not None:
            hint = (forward,)
        else:
            return None
        arguments = *kind, *shapes, *self._windows, *hint
        return Description.make(f"convolution_{what}", library().engine, *arguments, post_ops=post_ops)


def _one_image(shape: Shape) -> Layout:
    """How images of this shape, channels innermost, lie as one that is as high as all of them."""
    num, channels, height, width = shape
    return channels_innermost((1, channels, num * height, width))
