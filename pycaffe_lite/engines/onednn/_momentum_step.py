"""What SGD does with a block of weights, in two passes over memory, with all threads."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import FLOAT, is_fast
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import DST, SCALE, SRC, SRC_1, Description, Primitive, plain_layout
from pycaffe_lite.engines.onednn._tail import ADD

SUBTRACT = 0x1FFF5
MIN_COUNT = 1 << 12
"""Numbers from which on primitives are faster than numpy, which takes six passes: to call one takes longer."""


class MomentumStep:
    """v ← momentum · v + a · g + b · w, then w ← w − v, of flat float32 arrays of one length."""

    def __init__(self, add: Description, subtract: Description, count: int) -> None:
        lies, one = plain_layout((count,)), plain_layout((1,))
        arguments = {SRC: lies, SRC_1: lies, DST: lies}
        self._add = Primitive(add, {**arguments, SCALE | SRC: one, SCALE | SRC_1: one})
        self._subtract = Primitive(subtract, arguments)
        self._a, self._b = np.empty(1, FLOAT), np.empty(1, FLOAT)

    @classmethod
    def make(cls, count: int, momentum: float) -> MomentumStep | None:
        """None where there is no fast implementation, and for few numbers."""
        if count < MIN_COUNT:
            return None
        lies, engine = plain_layout((count,)).handle, library().engine
        scaled = SRC, SRC_1
        add = Description.make("binary", engine, ADD, lies, lies, lies, post_ops=((momentum,),), scaled=scaled)
        subtract = Description.make("binary", engine, SUBTRACT, lies, lies, lies)
        if add is None or subtract is None or not (is_fast(add) and is_fast(subtract)):
            return None
        return cls(add, subtract, count)

    def __call__(self, w: Array, v: Array, g: Array, a: float, b: float) -> None:
        other = w
        if not b:  # w may be infinite, and 0 · ∞ is not 0
            other, a, b = g, a / 2, a / 2
        self._a[0], self._b[0] = a, b
        self._add(g, other, v, self._a, self._b)
        self._subtract(w, v, w)
