"""What SGD does with a block of weights, in two passes over memory, with all threads."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import FLOAT, is_fast
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import DST, SCALE, SRC, SRC_1, Description, Primitive, plain_layout
from pycaffe_lite.engines.onednn._tail import ADD

SUBTRACT = 0x1FFF5
MIN_COUNT = 1 << 10
"""Numbers from which on two primitives are faster than numpy, which takes six passes, with one thread and with two."""


class MomentumStep:
    """v ← momentum · v + a · g + b · w, then w ← w − v, of flat float32 arrays of one length, which it keeps."""

    def __init__(self, add: Description, subtract: Description, w: Array, v: Array, g: Array) -> None:
        lies, one = plain_layout(w.shape), plain_layout((1,))
        arguments = {SRC: lies, SRC_1: lies, DST: lies}
        adding = Primitive(add, {**arguments, SCALE | SRC: one, SCALE | SRC_1: one})
        self._a, self._b = np.empty(1, FLOAT), np.empty(1, FLOAT)
        self._add_both = adding.on([g, w, v, self._a, self._b])
        self._add_gradient = adding.on([g, g, v, self._a, self._b])
        self._subtract = Primitive(subtract, arguments).on([w, v, w])

    @classmethod
    def make(cls, w: Array, v: Array, g: Array, momentum: float) -> MomentumStep | None:
        """None where there is no fast implementation, and for few numbers."""
        if w.size < MIN_COUNT:
            return None
        lies, engine = plain_layout(w.shape).handle, library().engine
        scaled = SRC, SRC_1
        add = Description.make("binary", engine, ADD, lies, lies, lies, post_ops=((momentum,),), scaled=scaled)
        subtract = Description.make("binary", engine, SUBTRACT, lies, lies, lies)
        if add is None or subtract is None or not (is_fast(add) and is_fast(subtract)):
            return None
        return cls(add, subtract, w, v, g)

    def __call__(self, a: float, b: float) -> None:
        if b:
            self._a[0], self._b[0] = a, b
            self._add_both()
        else:  # w may be infinite, and 0 · ∞ is not 0
            self._a[0] = self._b[0] = a / 2
            self._add_gradient()
        self._subtract()
