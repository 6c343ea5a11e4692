"""InnerProduct, the fully connected layer: y = x Wᵀ + b.

The bottom's axes before `axis` count items (M), the others are one vector each (K); W is (N, K), b is (N), y is (M, N):

    y = x Wᵀ + b        dW += dyᵀ x        db += Σ dy        dx = dy W

What `_do`, `_gradient_of` and `stored` are for is said at the top of layer.py.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import MIN_ITEMS, Blob, Side
from pycaffe_lite.constraints import at_least
from pycaffe_lite.done import Done, together
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, Layer, canonical_axis, exactly
from pycaffe_lite.layers._geometry import Scratch, batch_last
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.layers._thin_products import rows_times, times_columns
from pycaffe_lite.layers._tiles import over_tiles
from pycaffe_lite.order import Order, batch_innermost
from pycaffe_lite.registry import register_layer

FEW_ITEMS = 32  # up to so many, dW is computed faster than memory takes it
BLOCK_BYTES = 1 << 18  # of weights, that a core's cache holds beside the rest


@register_layer("InnerProduct")
class InnerProduct(Layer):
    """Fully connected. Blobs: W (N, K), or (K, N) with `transpose`; b (N) with bias_term.

    Top: the bottom's shape up to `axis`, then N. Raises ShapeError when a reshaped bottom has another K.
    """

    bottoms = exactly(1)
    tops = exactly(1)
    constraints = {"inner_product_param.num_output": at_least(1)}

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return self._axis == 1

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        p, shape = self._message.inner_product_param, bottom_shapes[0]
        axis = canonical_axis(p.axis, shape, "inner_product_param.axis")
        return [(*shape[:axis], p.num_output)]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.inner_product_param
        axis = canonical_axis(p.axis, bottom[0].shape, "inner_product_param.axis")
        self._n, self._k = p.num_output, math.prod(bottom[0].shape[axis:])
        self._transpose, self._bias = p.transpose, p.bias_term
        self._add_param((self._k, self._n) if p.transpose else (self._n, self._k), "inner_product_param.weight_filler")
        if p.bias_term:
            self._add_param((self._n,), "inner_product_param.bias_filler")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        axis = canonical_axis(self._message.inner_product_param.axis, bottom[0].shape, "inner_product_param.axis")
        k = math.prod(bottom[0].shape[axis:])
        if k != self._k:
            raise ShapeError(
                f"bottom shape {bottom[0].shape} gives vectors of {k}, the weights are for {self._k}",
                hint="The number of inputs cannot change once the net is built.",
            )
        self._axis, self._m = axis, math.prod(bottom[0].shape[:axis])  # axis: -1 is another one of more axes
        super().reshape(bottom, top)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done | None:
        w, *biases = (blob.stored("data") for blob in self.blobs)
        y = self._open(top[0], "data", self._n, self._m >= MIN_ITEMS)
        return self._do(self._value, self._read(bottom[0], "data"), y, w, *biases)

    def _value(self, x: Array, y: Array, w: Array, *biases: Array) -> None:
        """Set y. Each branch is y = x Wᵀ; the first two compute yᵀ = W xᵀ."""
        x, w = self._rows(x, self._k), self._weights(w)
        if not y.flags.c_contiguous:
            times_columns(w, x.T, y.T)
        elif self._n >= 4 * self._m > 4 and not self._transpose:
            # BLAS is faster with the longer side first, by up to two fifths; copying y costs far less.
            product = self._scratch("y", (self._n, self._m), y.dtype)
            times_columns(w, x.T, product)
            y[...] = product.T
        else:
            np.dot(x, w.T, out=y)
        for b in biases:
            y += b

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        x, dy, done = self._read(bottom[0], "data"), self._read(top[0], "diff"), list[Done | None]()
        if self.param_propagate_down(0):
            done.append(self._add_product(x, dy))
        if self._bias and self.param_propagate_down(1):
            db = self._gradient_of(1)
            done += self._do(self._sum_items, dy, db), self._add_gradient(1, db)
        if propagate_down[0]:
            done.append(self._give_bottom(bottom, x, dy))
        return together(done)

    def _sum_items(self, dy: Array, db: Array) -> None:
        sum_over((0,), self._rows(dy, self._n), out=db)

    def _give_bottom(self, bottom: Blobs, x: Array, dy: Array) -> Done | None:
        """Set dx, which lies as x."""
        innermost = batch_innermost(x) and not x.flags.c_contiguous
        dx = self._open(bottom[0], "diff", self._k, innermost)
        return self._do(self._gradient, self.blobs[0].stored("data"), dy, dx)

    def _gradient(self, w: Array, dy: Array, dx: Array) -> None:
        w, dy = self._weights(w), self._rows(dy, self._n)
        if not dx.flags.c_contiguous:
            np.dot(w.T, dy.T, out=dx.T)
        elif w.nbytes <= BLOCK_BYTES:
            np.dot(dy, w, out=dx)
        else:
            rows_times(dy, w, dx, self._scratch)

    def _add_product(self, x: Array, dy: Array) -> Done | None:
        """Add to dW: the product, or of few items, whose product is made faster than it is written to memory and
        fetched again, so many rows at a time as a cache holds.
        """
        w = self.blobs[0]
        if self._m > FEW_ITEMS or w.nbytes <= BLOCK_BYTES:
            product = self._gradient_of(0)
            return together([self._do(self._product, x, dy, product), self._add_gradient(0, product)])
        empty = w.diff_to_overwrite() is not None
        return self._do(functools.partial(self._product_by_rows, empty), x, dy, w.stored("diff"))

    def _factors(self, x: Array, dy: Array) -> tuple[Array, Array]:
        """Whose product is dW."""
        x, dy = self._rows(x, self._k), self._rows(dy, self._n)
        return (x.T, dy) if self._transpose else (dy.T, x)

    def _product(self, x: Array, dy: Array, dw: Array) -> None:
        np.dot(*self._factors(x, dy), out=dw)

    def _product_by_rows(self, empty: bool, x: Array, dy: Array, dw: Array) -> None:
        """Add to dw, or where it is `empty` overwrite it."""
        left, right = self._factors(x, dy)
        block = max(1, BLOCK_BYTES // dw[0].nbytes)

        def tile(here: slice, scratch: Scratch) -> None:
            rows = dw[here]
            if empty:
                np.dot(left[here], right, out=rows)
            else:
                product = scratch("product", (block, dw.shape[1]), dw.dtype)[: len(rows)]
                np.add(rows, np.dot(left[here], right, out=product), out=rows)

        over_tiles(tile, len(dw), block, dw.nbytes, self._scratch, products=True)

    def _weights(self, w: Array) -> Array:
        """W as (N, K)."""
        return w.T if self._transpose else w

    def _read(self, blob: Blob, what: Side) -> Array:
        """The items, in any order where `axis` is 1; `_rows` makes vectors of them, perhaps in other memory."""
        return blob.stored(what) if self._axis == 1 else blob.in_order(what)

    def _open(self, blob: Blob, what: Side, size: int, innermost: bool) -> Array:
        if self._axis != 1:
            return self._rows(blob.open(what, Order.PLAIN), size)
        return self._rows(blob.open(what, Order.BATCH_INNERMOST if innermost else Order.PLAIN), size)

    def _rows(self, array: Array, size: int) -> Array:
        """The items, vectors of this size, as rows: (M, size)."""
        if array.ndim == 2 and self._axis == 1:
            return array
        if array.flags.c_contiguous or not batch_innermost(array):
            return array.reshape(self._m, size)
        return batch_last(array).reshape(size, self._m).T
