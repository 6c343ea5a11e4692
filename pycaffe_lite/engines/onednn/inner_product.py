"""InnerProduct by oneDNN's matrix products.

While W learns it is used as it lies: another order would cost more than it saves. For few items numpy is faster, which
goes in blocks then (_thin_products), but for W's gradient. In phase TEST the product of several items is with a copy of
W in the kernel's own order.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Done, together
from pycaffe_lite.engines.onednn._arrays import Adaptive, Runs, is_reference, takes
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._parameters import Gradients, Prepared, WithWeights
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
    any_layout,
    plain_layout,
    strided_layout,
)
from pycaffe_lite.engines.onednn._tail import APART, Tail, WithTail, tailed
from pycaffe_lite.layer import Blobs, Layer, learns
from pycaffe_lite.layers._thin_products import rows as thin_rows
from pycaffe_lite.layers.inner_product import InnerProduct
from pycaffe_lite.order import Order, order_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

MIN_PRODUCTS = 1 << 17
"""M · K · N from which on primitives run, level with numpy: to call one takes longer than to call numpy. Of one item a
sixteenth: there OpenBLAS wakes threads of its own from 9216 on, else from 2**18 on. They wait for more work at full
speed, in the way of oneDNN's: GoogLeNet, one item, two threads, takes 33 ms with them and 20 without. In phase TEST,
where passes are done again, a primitive of few takes no longer than numpy's product and sum.
"""
MIN_ITEMS = 4
"""Items from which on a copy of W pays. 4096 by 4096, one thread, ms: 6.0 and 6.2 for one item, 12.0 and 6.4 for 4,
17.6 and 6.9 for 8, 32.7 and 24.8 for 64. To make the copy takes 15 to 26.
"""
MOST_ITEMS = 1 << 13
"""Of which oneDNN sums up db, one after another; of more it is numpy's: of 200,000 it was off by 1e-5 of itself."""


class InnerProductPrimitives:
    """The three passes for M items of K numbers, and N of them out; the first with W as the kernel likes it or as it
    lies. With `only_weights` the one to W's gradient will do.
    """

    def __init__(
        self, m: int, k: int, n: int, transpose: bool, bias: bool, any_order: bool = False, only_weights: bool = False
    ) -> None:
        self.x, self.y = plain_layout((m, k)), plain_layout((m, n))
        # A vector lies alike both ways. Of an axis of one place any stride will do, but not for oneDNN's products.
        across = transpose and min(n, k) > 1
        self.weights = weights = strided_layout((n, k), (1, n)) if across else plain_layout((n, k))
        biases = [plain_layout((n,))] if bias else []
        x, w, y, engine = self.x.handle, weights.handle, self.y.handle, library().engine
        b, liked = biases[0].handle if bias else None, any_layout((n, k), WEIGHTS) if any_order else w
        arguments = engine, FORWARD_TRAINING, x, liked, b, y
        self._make = functools.partial(Description.make, "inner_product_forward", *arguments)
        self._plain = forward = self._make()
        data = forward and Description.make("inner_product_backward_data", engine, x, w, y, forward)
        weight = forward and Description.make("inner_product_backward_weights", engine, x, w, b, y, forward)
        self.only_weights = only_weights
        self.exist = all(made is not None and not is_reference(made) for made in (forward, data, weight))
        if forward is not None and data is not None and weight is not None:
            with_bias = dict(zip([BIAS], biases, strict=False)), dict(zip([DIFF_BIAS], biases, strict=False))
            self._arguments = {SRC: self.x, WEIGHTS: forward.layout(WEIGHTS), **with_bias[0], DST: self.y}
            self.forward = Adaptive(forward, self._arguments)
            self.backward_data = Adaptive(data, {DIFF_SRC: self.x, WEIGHTS: weights, DIFF_DST: self.y})
            self.backward_weights = Adaptive(
                weight, {SRC: self.x, DIFF_WEIGHTS: weights, **with_bias[1], DIFF_DST: self.y}
            )

    def forward_with(self, tail: Tail) -> Adaptive | None:
        if self.only_weights:
            return None
        assert self._plain is not None
        return tailed(self._plain, lambda ops: self._make(post_ops=ops), self._arguments, tail)


@register_layer("InnerProduct", engine="onednn")
class OneDnnInnerProduct(WithTail, WithWeights, InnerProduct):
    """The inner product of float32 blobs, unless they are so small that numpy is faster."""

    slopes = True
    _primitives: InnerProductPrimitives | None = None
    _made_for: Shape | None = None

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        if bottom[0].shape == self._made_for:
            return
        self._made_for, self._primitives, m = bottom[0].shape, None, self._m
        any_order = self.phase == pb.TEST and m >= MIN_ITEMS
        in_blocks = not (any_order or self._transpose) and thin_rows((self._n, self._k), m) > 0
        least = 1 if self.phase == pb.TEST else MIN_PRODUCTS if m > 1 else MIN_PRODUCTS // 16
        if takes([*bottom, *top]) and m * self._n * self._k >= least:
            made = InnerProductPrimitives(m, self._k, self._n, self._transpose, self._bias, any_order, in_blocks)
            self._primitives = made if made.exist else None

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return self._primitives is None or self._primitives.only_weights

    def absorbs(self, followers: Sequence[Layer]) -> int:
        return super().absorbs(followers) if self._axis == 1 else 0  # N is where a tail sees channels

    def _prepare(self, way: str, followers: Sequence[Layer]) -> Prepared | None:
        return super()._prepare(way, followers) if self._axis == 1 else None  # another shape may have changed it

    def forward(self, bottom: Blobs, top: Blobs) -> Done | None:
        if (primitives := self._primitives) is None or primitives.only_weights:
            return super().forward(bottom, top)
        return self._forward_alone(primitives.forward, bottom, top)

    def absorbs_line(self, followers: Sequence[Layer], shapes: Sequence[Shape]) -> int:
        return self.absorbs(followers)

    def forward_line(self, followers: Sequence[Layer], bottom: Blobs, tops: Blobs) -> Done | None:
        if (prepared := self._prepared_with(APART, followers)) is None:
            return None
        return self._forward(prepared.run, prepared.parameters, prepared.numbers, bottom, tops[-1:])

    def _parameters(self, run: Runs) -> list[Array]:
        assert self._primitives is not None
        return self._parameters_as(self._primitives.weights, run.arguments[WEIGHTS])

    def _forward(
        self, run: Runs, parameters: Sequence[Array], numbers: Sequence[Array], bottom: Blobs, top: Blobs
    ) -> Done | None:
        y = top[0].open("data", Order.PLAIN)
        return run.adapted(self._scratch, bottom[0].stored("data"), *parameters, y, *numbers)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if (primitives := self._primitives) is None:
            return super().backward_cpu(top, propagate_down, bottom)
        x, dy, done = bottom[0].stored("data"), top[0].stored("diff"), list[Done | None]()
        if learns(self):
            gradients = Gradients(self, primitives.weights, primitives.weights, self._scratch)
            done.append(primitives.backward_weights.adapted(self._scratch, x, *gradients.memory, dy))
            if self._bias and self._m > MOST_ITEMS:
                done.append(self._do(self._sum_items, dy, gradients.memory[1]))
            done.append(gradients.add())
        if propagate_down[0] and primitives.only_weights:
            done.append(self._give_bottom(bottom, x, dy))
        elif propagate_down[0]:
            dx = bottom[0].open("diff", order_of(x))
            done.append(primitives.backward_data.adapted(self._scratch, dx, self.blobs[0].stored("data"), dy))
        return together(done)
