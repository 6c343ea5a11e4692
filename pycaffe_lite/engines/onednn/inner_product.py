"""InnerProduct by oneDNN's matrix products, with W as it lies: another order would cost more than it saves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob, Side, order_of
from pycaffe_lite.engines.onednn._arrays import Target, read, takes
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._parameters import Gradients, learns
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
    Primitive,
    plain_layout,
    strided_layout,
)
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.inner_product import InnerProduct
from pycaffe_lite.registry import register_layer
from pycaffe_lite.storage import Order


class InnerProductPrimitives:
    """The three passes for M items of K numbers, and N of them out."""

    def __init__(self, m: int, k: int, n: int, transpose: bool, bias: bool) -> None:
        self.x, self.y = plain_layout((m, k)), plain_layout((m, n))
        self.weights = weights = strided_layout((n, k), (1, n)) if transpose else plain_layout((n, k))
        biases = [plain_layout((n,))] if bias else []
        x, w, y, engine = self.x.handle, weights.handle, self.y.handle, library().engine
        b = biases[0].handle if bias else None
        forward = Description.make("inner_product_forward", engine, FORWARD_TRAINING, x, w, b, y)
        data = forward and Description.make("inner_product_backward_data", engine, x, w, y, forward.handle)
        weight = forward and Description.make("inner_product_backward_weights", engine, x, w, b, y, forward.handle)
        self.exist = None not in (forward, data, weight)
        if forward is not None and data is not None and weight is not None:
            with_bias = dict(zip([BIAS], biases, strict=False)), dict(zip([DIFF_BIAS], biases, strict=False))
            self.forward = Primitive(forward, {SRC: self.x, WEIGHTS: weights, **with_bias[0], DST: self.y})
            self.backward_data = Primitive(data, {DIFF_SRC: self.x, WEIGHTS: weights, DIFF_DST: self.y})
            self.backward_weights = Primitive(
                weight, {SRC: self.x, DIFF_WEIGHTS: weights, **with_bias[1], DIFF_DST: self.y}
            )


@register_layer("InnerProduct", engine="onednn")
class OneDnnInnerProduct(InnerProduct):
    """The inner product of float32 blobs."""

    _primitives: InnerProductPrimitives | None = None
    _made_for: Shape | None = None

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        if bottom[0].shape == self._made_for:
            return
        self._made_for, self._primitives = bottom[0].shape, None
        if takes([*bottom, *top]):
            m = math.prod(bottom[0].shape[: self._axis])
            made = InnerProductPrimitives(m, self._k, self._n, self._transpose, self._bias)
            self._primitives = made if made.exist else None

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        if (primitives := self._primitives) is None:
            super().forward_cpu(bottom, top)
            return
        bias = [self.blobs[1].data] if self._bias else []
        y = top[0].open("data", Order.PLAIN)
        primitives.forward(self._plain(bottom[0], "data"), self.blobs[0].data, *bias, y)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if (primitives := self._primitives) is None:
            super().backward_cpu(top, propagate_down, bottom)
            return
        dy = self._plain(top[0], "diff")
        if learns(self):
            gradients = Gradients(self, primitives.weights, primitives.weights, self._scratch)
            primitives.backward_weights(self._plain(bottom[0], "data"), *gradients.memory, dy)
            gradients.add()
        if propagate_down[0]:
            order = order_of(bottom[0].stored("data"))
            target = Target(bottom[0].open("diff", order), plain_layout(bottom[0].shape), self._scratch, "dx")
            primitives.backward_data(target.memory, self.blobs[0].data, dy)
            target.done()

    def _plain(self, blob: Blob, what: Side) -> Array:
        return read(blob.stored(what), plain_layout(blob.shape), self._scratch, what)
