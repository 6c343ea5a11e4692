"""LSTMUnit, one step of an LSTM without its weights. i, f, o = sigmoid(x), g = tanh(x), each a quarter of x, and

c = f · cont · c_prev + i g        h = o tanh(c)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, Layer, exactly, no_gradient_to
from pycaffe_lite.layers import _lstm
from pycaffe_lite.layers._recurrent import begin
from pycaffe_lite.registry import register_layer


@register_layer("LSTMUnit")
class LSTMUnit(Layer):
    """Bottoms: c_prev (1, N, D); x (1, N, 4D), the inputs of the gates i, f, o, g; cont (1, N), 0 where a sequence
    begins and 1 elsewhere. Tops: c and h, (1, N, D). Raises ShapeError for others, GraphError for a gradient to cont.

    Differences from Caffe: the first axis may be other than 1, and there may be more of them; where a sequence begins,
    c_prev counts for nothing even if it is NaN; a cont between 0 and 1 has its true gradients.
    """

    bottoms = exactly(3)
    tops = exactly(2)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 2

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        c, x, cont = bottom_shapes
        if len(c) < 2 or x != (*c[:-1], 4 * c[-1]) or cont != c[:-1]:
            raise ShapeError(
                f"c_prev, x and cont have shapes {c}, {x} and {cont}",
                hint="They must be (1, N, D), (1, N, 4D), (1, N).",
            )
        return [c, c]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        gates, before, tanh_c = self._work(bottom)
        np.copyto(gates, bottom[1].data.reshape(gates.shape))
        begin(bottom[0].data.reshape(before.shape), bottom[2].data.reshape(-1, 1), out=before)
        c, h = (t.data.reshape(before.shape) for t in top)
        _lstm.forward(gates, before, c, tanh_c, h)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(2, propagate_down, "cont")
        gates, before, tanh_c = self._work(bottom)
        dc, dgates = self._like("dc", before), self._like("dgates", gates)
        np.copyto(dc, top[0].diff.reshape(dc.shape))
        _lstm.backward(gates, before, tanh_c, top[1].diff.reshape(dc.shape), dc, dgates)
        if propagate_down[0]:
            np.multiply(dc, bottom[2].data.reshape(-1, 1), out=bottom[0].diff.reshape(dc.shape))
        if propagate_down[1]:
            bottom[1].diff.reshape(dgates.shape)[...] = dgates

    def _work(self, bottom: Blobs) -> tuple[Array, Array, Array]:
        """What forward keeps for backward: gates (N, 4D), the cell before the step and tanh(c), (N, D)."""
        d, dtype = bottom[0].shape[-1], bottom[0].dtype
        n = bottom[2].count
        return (
            self._scratch("gates", (n, 4 * d), dtype),
            self._scratch("before", (n, d), dtype),
            self._scratch("tanh_c", (n, d), dtype),
        )

    def _like(self, name: str, array: Array) -> Array:
        return self._scratch(name, array.shape, array.dtype)
