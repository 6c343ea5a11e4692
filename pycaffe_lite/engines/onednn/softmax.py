"""Softmax of vectors that lie in one piece each.

Where a number of a vector is NaN or ∞, oneDNN makes NaN of that one and 0 of the others; all of them are to be NaN.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import FLOAT, is_fast
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import DST, FORWARD_TRAINING, SRC, Description, Primitive, plain_layout
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.softmax import Softmax
from pycaffe_lite.registry import register_layer

ACCURATE = 0x30000


@register_layer("Softmax", engine="onednn")
class OneDnnSoftmax(Softmax):
    """The forward pass of float32 blobs along their last axis, or the last but for some of length 1; else numpy's."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        self._made = functools.lru_cache(1)(_make)

    def _probabilities(self, x: Array, y: Array) -> None:
        count = x.shape[self._axis]
        is_last = math.prod(x.shape[self._axis :]) == count or self._axis == -1
        made = None
        if is_last and count and x.size and x.dtype == FLOAT and x.flags.c_contiguous and y.flags.c_contiguous:
            made = self._made(x.size // count, count)
        if made is None:
            super()._probabilities(x, y)
            return
        run, ones = made
        run(x, y)
        if math.isnan(np.vdot(y, ones)):
            vectors = y.reshape(-1, count)
            vectors[np.isnan(vectors).any(axis=1)] = np.nan


def _make(num: int, count: int) -> tuple[Primitive, Array] | None:
    """For so many vectors of so many numbers, with as many ones; None where there is none that is fast."""
    lies = plain_layout((num, count))
    both = lies.handle, lies.handle
    made = Description.make("softmax_forward", library().engine, FORWARD_TRAINING, ACCURATE, *both, 1)
    if made is None or not is_fast(made):
        return None
    return Primitive(made, {SRC: lies, DST: lies}), np.ones(num * count, FLOAT)
