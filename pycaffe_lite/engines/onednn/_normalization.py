"""y = (x - mean) / √(variance + epsilon) · scale + shift, with numbers of its own for each channel of images."""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.engines.onednn._arrays import FLOAT, channels_innermost, layout
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import (
    DIFF_DST,
    DIFF_SRC,
    DST,
    FORWARD_TRAINING,
    SRC,
    WORKSPACE,
    Description,
    Primitive,
    plain_layout,
)
from pycaffe_lite.layer import Layer

GIVEN_STATISTICS, SCALE, SHIFT, RELU = 1, 2, 4, 8
MOST_PLACES = 1 << 17
"""Of all images: oneDNN adds up a channel's numbers one by one, so that rounding grows with them. Of random numbers the
variance is 1.4e-5 of itself too small with 100,000 places, 1.2e-4 with 400,000 and 3e-3 with 3 million.
"""
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
        if forward is not None and backward is not None:
            given = [_MEAN, _VARIANCE] + [_SCALE] * bool(flags & SCALE)
            shift, gradients = [_SHIFT] * bool(flags & SHIFT), [_DIFF_SCALE] * bool(flags & SCALE)
            gradients += [_DIFF_SHIFT] * bool(flags & SHIFT)
            numbers = dict.fromkeys([*given, *shift], each), dict.fromkeys([*given, *gradients], each)
            kept = forward.layout(WORKSPACE)
            self.workspace = kept.nbytes
            last = {WORKSPACE: kept} if flags & RELU else {}
            self.forward = Primitive(forward, {SRC: self.lies, **numbers[0], DST: self.lies, **last})
            images = dict.fromkeys((DIFF_SRC, DIFF_DST, SRC), self.lies)
            self.backward = Primitive(backward, {**images, **numbers[1], **last})


class Normalizing(Layer):
    """To be mixed into numpy's layer, which computes where `_normalization` gives nothing."""

    _made: dict[tuple[float, int], Normalization]
    _made_for: Shape | None = None

    def _normalization(self, images: Array, epsilon: float, flags: int) -> Normalization | None:
        """The Normalization for such arrays if they hold float32 images with the channels innermost, and it is fast."""
        shape = images.shape
        if len(shape) != 4 or images.dtype != FLOAT or not images.size:
            return None
        if shape[2:] == (1, 1):  # these lie in plain order, and so do their tops
            return None
        if layout(images) is not channels_innermost(shape):
            return None
        sums = flags & SCALE or not flags & GIVEN_STATISTICS
        if sums and images.size // shape[1] > MOST_PLACES:
            return None
        if shape != self._made_for:
            self._made_for, self._made = shape, {}
        if (epsilon, flags) not in self._made:
            self._made[epsilon, flags] = Normalization(shape, epsilon, flags)
        made = self._made[epsilon, flags]
        return made if made.fast else None


@functools.cache
def standard(channels: int) -> tuple[Array, Array]:
    """Mean and variance, 0 and 1, of what is normalized already; not to be written."""
    return np.zeros(channels, FLOAT), np.ones(channels, FLOAT)
