"""y = (x - mean) / √(variance + epsilon) · scale + shift, with numbers of its own for each channel of images."""

from __future__ import annotations

import ctypes
import functools
import math

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.engines.onednn._arrays import FLOAT, channels_innermost, layout, takes
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    DIFF_DST,
    DIFF_SRC,
    DST,
    FORWARD_TRAINING,
    SRC,
    SRC_1,
    WORKSPACE,
    Description,
    Layout,
    PostOp,
    Primitive,
    operands,
    plain_layout,
)
from pycaffe_lite.engines.onednn._tail import ADD, MULTIPLY
from pycaffe_lite.layer import Blobs, Layer

GIVEN_STATISTICS, SCALE, SHIFT, RELU = 1, 2, 4, 8
MOST_PLACES = 1 << 17
"""Of all images, over which one primitive adds up: oneDNN adds a channel's numbers one by one, so that rounding grows
with them. Of random numbers the variance is 1.4e-5 of itself too small with 100,000 places, 1.2e-4 with 400,000 and
3e-3 with 3 million.
"""
LEAST_OF_GROUP, MOST_OF_GROUP, NUMBERS_OF_GROUP = 1 << 6, 1 << 14, 1 << 18
"""The least and the most places of a group, and the most numbers, which caches are to hold."""
_BACKWARD = 128
_MEAN, _VARIANCE, _SCALE, _SHIFT, _DIFF_SCALE, _DIFF_SHIFT = 49, 50, 51, 52, 255, 256


class Normalization:
    """Both passes for images (N, C, H, W) with the channels innermost.

    forward(x, mean, variance, scale, shift, y), which writes mean and variance unless GIVEN_STATISTICS;
    backward(dx, dy, x, mean, variance, scale, dscale, dshift); without scale and shift that the flags do not ask for.
    With RELU, which makes 0 of NaN, both take `workspace` bytes last, in which forward notes what it lets through.
    """

    def __init__(self, shape: Shape, epsilon: float, flags: int) -> None:
        self.lies, engine = channels_innermost(shape), library().engine
        x, each, how = self.lies.handle, plain_layout((shape[1],)), (ctypes.c_float(epsilon), flags)
        kind = "batch_normalization"
        forward = Description.make(f"{kind}_forward", engine, FORWARD_TRAINING, x, x, *how)
        backward = forward and Description.make(f"{kind}_backward", engine, _BACKWARD, x, x, x, *how, forward)
        self.implementation = forward.implementation if forward is not None else "ref"
        self.fast = backward is not None and not self.implementation.startswith(("ref", "ncsp"))
        self.workspace = 0
        if forward is not None and backward is not None:
            given = [_MEAN, _VARIANCE] + [_SCALE] * bool(flags & SCALE)
            shift, gradients = [_SHIFT] * bool(flags & SHIFT), [_DIFF_SCALE] * bool(flags & SCALE)
            gradients += [_DIFF_SHIFT] * bool(flags & SHIFT)
            numbers = dict.fromkeys([*given, *shift], each), dict.fromkeys([*given, *gradients], each)
            kept = forward.layout(WORKSPACE)
            self.workspace = kept.nbytes
            last = {WORKSPACE: kept} if flags & RELU else {}
            self._forward = Primitive(forward, {SRC: self.lies, **numbers[0], DST: self.lies, **last})
            images = dict.fromkeys((DIFF_SRC, DIFF_DST, SRC), self.lies)
            self._backward = Primitive(backward, {**images, **numbers[1], **last})

    def forward(self, x: Array, mean: Array, variance: Array, *others: Array) -> None:
        self._forward(x, mean, variance, *others)

    def backward(self, dx: Array, dy: Array, x: Array, mean: Array, variance: Array, *others: Array) -> None:
        self._backward(dx, dy, x, mean, variance, *others)


class NormalizationInGroups(Normalization):
    """That of more than MOST_PLACES: sums over places are made a group at a time, and then added up.

    Forward finds mean and variance in a pass of its own, of the groups' mᵢ and vᵢ: m = Σ mᵢ / n and v = Σ (vᵢ + (mᵢ -
    m)²) / n. Backward, for flags with SCALE, makes dx as if they were given, and takes away what it then knows, with P
    places in all:

        dx = s / σ dy - s / σ (Σ dy / P + (x - m) / σ Σ dy (x - m) / σ / P)
    """

    def __init__(self, shape: Shape, epsilon: float, flags: int) -> None:
        super().__init__(shape, epsilon, flags | GIVEN_STATISTICS)
        channels, self._places = shape[1], shape[0] * math.prod(shape[2:])
        size = _size_of_group(self._places, channels)
        self._flags, self._epsilon, group = flags, epsilon, (1, channels, size, 1)
        self._sums = np.empty((2, self._places // size, channels), FLOAT)
        """Two numbers of each channel, of each group."""
        self._gradients = Normalization(group, epsilon, flags | GIVEN_STATISTICS | SCALE | SHIFT)
        alike = self._gradients.implementation == self.implementation
        alike = alike and self._gradients.workspace * self._sums.shape[1] == self.workspace
        self.fast = self.fast and alike and size >= LEAST_OF_GROUP
        if not flags & GIVEN_STATISTICS:
            self._statistics, self._add = Normalization(group, epsilon, 0), _affine_addition(self._gradients.lies)
            alike = self._statistics.implementation == self.implementation
            self.fast = self.fast and alike and self._add is not None

    def forward(self, x: Array, mean: Array, variance: Array, *others: Array) -> None:
        if not self._flags & GIVEN_STATISTICS:
            self._find(x, mean, variance)
        super().forward(x, mean, variance, *others)

    def _find(self, x: Array, mean: Array, variance: Array) -> None:
        groups, (means, variances) = self._groups(x), self._sums
        unread = library().workspace(groups[0].nbytes)
        for group, its_mean, its_variance in zip(groups, means, variances, strict=True):
            self._statistics.forward(group, its_mean, its_variance, unread)
        exactly = means.mean(axis=0, dtype=np.float64)
        mean[...] = exactly
        variance[...] = (variances + (means - exactly) ** 2).mean(axis=0)

    def backward(self, dx: Array, dy: Array, x: Array, mean: Array, variance: Array, *others: Array) -> None:
        scale, wanted = others[0], 1 + bool(self._flags & SCALE) + bool(self._flags & SHIFT)
        gradients, notes = others[1:wanted], [array.reshape(len(self._sums[0]), -1) for array in others[wanted:]]
        groups = [self._groups(array) for array in (dx, dy, x)]
        for to, of, at, *sums_and_notes in zip(*groups, *self._sums, *notes, strict=True):
            self._gradients.backward(to, of, at, mean, variance, scale, *sums_and_notes)
        of_scale, of_shift = sums = self._sums.sum(axis=1, dtype=np.float64)
        for gradient, total in zip(gradients, sums, strict=False):
            gradient[...] = total
        if not self._flags & GIVEN_STATISTICS:
            deviation = np.sqrt(variance.astype(np.float64) + self._epsilon)
            share = -scale / (deviation * self._places)
            less, *numbers = (a.astype(FLOAT) for a in (-mean, share * of_scale / deviation, share * of_shift))
            assert self._add is not None
            for to, at in zip(groups[0], groups[2], strict=True):
                self._add(at, less, to, *numbers)

    def _groups(self, array: Array) -> Array:
        """Images as they lie, or memory for such, in rows."""
        flat = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
        return flat.reshape(self._sums.shape[1], -1)


def _size_of_group(places: int, channels: int) -> int:
    """The most places that all are a multiple of and that make a group."""
    most = max(4 * LEAST_OF_GROUP, min(MOST_OF_GROUP, NUMBERS_OF_GROUP // channels))
    return next(size for size in range(most, 0, -1) if places % size == 0)


def _affine_addition(lies: Layout) -> Primitive | None:
    """dx += (x + a) b + c for arrays that lie so and numbers for each channel: to be called with x, a, dx, b, c."""
    each = plain_layout((1, lies.shape[1], 1, 1))
    ops: tuple[PostOp, ...] = (MULTIPLY, each), (ADD, each), (1.0,)
    made = Description.make("binary", library().engine, ADD, lies.handle, each.handle, lies.handle, post_ops=ops)
    return Primitive(made, {SRC: lies, SRC_1: each, DST: lies, **operands(ops)}) if made is not None else None


class Normalizing(Layer):
    """To be mixed into numpy's layer, which computes where `_normalization` gives nothing."""

    _made: dict[tuple[float, int], Normalization]
    _made_for: Shape | None = None

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return math.prod(bottom[0].shape[2:]) <= 1 or not takes([*bottom, *top])

    def _normalization(self, images: Array, epsilon: float, flags: int) -> Normalization | None:
        """The Normalization for such arrays if they hold float32 images with the channels innermost, and it is fast."""
        shape = images.shape
        if len(shape) != 4 or images.dtype != FLOAT or not images.size:
            return None
        if shape[2:] == (1, 1):  # these lie in plain order, and so do their tops
            return None
        if layout(images) is not channels_innermost(shape):
            return None
        if shape != self._made_for:
            self._made_for, self._made = shape, {}
        if (epsilon, flags) not in self._made:
            sums = flags & SCALE or not flags & GIVEN_STATISTICS
            kind = NormalizationInGroups if sums and images.size // shape[1] > MOST_PLACES else Normalization
            self._made[epsilon, flags] = kind(shape, epsilon, flags)
        made = self._made[epsilon, flags]
        return made if made.fast else None


@functools.cache
def standard(channels: int) -> tuple[Array, Array]:
    """Mean and variance, 0 and 1, of what is normalized already; not to be written."""
    return np.zeros(channels, FLOAT), np.ones(channels, FLOAT)
