"""Softmax of vectors that lie in one piece each.

Where a number of a vector is NaN or ∞, oneDNN makes NaN of that one and 0 of the others; all of them are to be NaN.
"""

from __future__ import annotations

import math

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.engines.onednn._arrays import FLOAT, is_fast, takes
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import DST, FORWARD_TRAINING, SRC, Description, Primitive, plain_layout
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.softmax import Softmax
from pycaffe_lite.registry import register_layer

ACCURATE = 0x30000
MOST_CLASSES = 1 << 16
"""Of a vector: oneDNN adds up a few partial sums number by number, and of a million the whole came out 3e-4 off."""


@register_layer("Softmax", engine="onednn")
class OneDnnSoftmax(Softmax):
    """The forward pass of float32 blobs along their last axis, or the last but for some of length 1, of not too many
    classes; else numpy's.
    """

    _made_for: Shape | None = None
    _made: tuple[Primitive, Array] | None = None

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        if (shape := bottom[0].shape) != self._made_for:
            self._made_for, self._made, count = shape, None, shape[self._axis]
            in_one_piece = takes([*bottom, *top]) and math.prod(shape[self._axis % len(shape) :]) == count
            if in_one_piece and count <= MOST_CLASSES:
                self._made = _make(bottom[0].count // count, count)

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return self._made is None

    def _probabilities(self, x: Array, y: Array) -> None:
        if self._made is None or not (x.flags.c_contiguous and y.flags.c_contiguous):
            super()._probabilities(x, y)
            return
        run, ones = self._made
        run(x, y)
        if math.isnan(np.vdot(y, ones)):
            vectors = y.reshape(-1, y.shape[self._axis])
            vectors[np.isnan(vectors).any(axis=1)] = np.nan


def _make(num: int, count: int) -> tuple[Primitive, Array] | None:
    """For so many vectors of so many numbers, with as many ones; None where there is none that is fast."""
    lies = plain_layout((num, count))
    both = lies.handle, lies.handle
    made = Description.make("softmax_forward", library().engine, FORWARD_TRAINING, ACCURATE, *both, 1)
    if made is None or not is_fast(made):
        return None
    return Primitive(made, {SRC: lies, DST: lies}), np.ones(num * count, FLOAT)
