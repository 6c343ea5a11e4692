"""ReLU's gradient in one pass over memory, with all threads.

It is a comparison and a product, dy · (-x < 0), with NaN where numpy's has it: oneDNN's own makes 0 of a dy that is
NaN, and its x > 0 holds for NaN. Forward, behind another layer, ReLU is part of that layer's primitive (see _tail).
"""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.engines.onednn._arrays import FLOAT, many_alike
from pycaffe_lite.engines.onednn._binary import Binary
from pycaffe_lite.engines.onednn._primitive import PostOp, plain_layout
from pycaffe_lite.engines.onednn._tail import LINEAR, MULTIPLY
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.relu import ReLU
from pycaffe_lite.registry import register_layer

LESS = 0x1FFF9
_MINUS, _ZERO = np.array([-1], FLOAT), np.zeros(1, FLOAT)


@register_layer("ReLU", engine="onednn")
class OneDnnReLU(ReLU):
    """The gradient of many float32 numbers that lie alike; otherwise, and forward, numpy's."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        self._gate = Binary(MULTIPLY, self._post_ops)

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def _post_ops(self, x: Shape) -> tuple[PostOp, ...]:
        """What makes dx of -x."""
        leaky: tuple[PostOp, ...] = ((LINEAR, 1 - self._slope, self._slope),) if self._slope else ()
        return (LESS, plain_layout((1,))), *leaky, (MULTIPLY, plain_layout(x))

    def _gradient(self, x: Array, dy: Array, dx: Array) -> None:
        run = None
        if many_alike(x, dy, dx):
            run = self._gate.primitive(plain_layout((x.size,)), plain_layout((1,)))
        if run is None:
            super()._gradient(x, dy, dx)
        else:
            run(x, _MINUS, dx, _ZERO, dy)
