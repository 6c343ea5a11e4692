"""Embed: a row of W for every index, y[i] = W[x[i]] + b; dW[k] += Σ dy[i] where x[i] = k, db += Σ dy.

It is InnerProduct on one-hot vectors, without ever making them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Shape
from pycaffe_lite.constraints import at_least
from pycaffe_lite.errors import DataError
from pycaffe_lite.layer import Blobs, Layer, exactly, no_gradient_to
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.registry import register_layer


@register_layer("Embed")
class Embed(Layer):
    """Bottom: indices 0 <= x < input_dim of any shape; top: that shape, then num_output. Blobs: W (input_dim,
    num_output); b (num_output) with bias_term.

    Raises DataError for numbers that are no index, GraphError where a gradient of the indices is asked for.
    """

    bottoms = exactly(1)
    tops = exactly(1)
    constraints = {"embed_param.num_output": at_least(1), "embed_param.input_dim": at_least(1)}

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return [(*bottom_shapes[0], self._message.embed_param.num_output)]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.embed_param
        self._n, self._rows, self._bias = p.num_output, p.input_dim, p.bias_term
        self._add_param((p.input_dim, p.num_output), "embed_param.weight_filler")
        if p.bias_term:
            self._add_param((p.num_output,), "embed_param.bias_filler")

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x, y = bottom[0].data, top[0].data
        right = (x >= 0) & (x < self._rows) & (x == np.floor(x))
        if not right.all():
            at = tuple(int(i) for i in np.argwhere(~right)[0])
            raise DataError(
                f"The bottom has {x[at]:g} at {list(at)}, which is no integer from 0 to {self._rows - 1}",
                hint="Check the data, or raise embed_param.input_dim.",
            )
        y[...] = self.blobs[0].stored("data")[x.astype(np.intp)]
        if self._bias:
            y += self.blobs[1].stored("data")

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(0, propagate_down, "the indices")
        dy = top[0].diff.reshape(-1, self._n)
        if self.param_propagate_down(0):
            index = bottom[0].data.astype(np.intp).reshape(-1)
            order = np.argsort(index, kind="stable")
            rows, starts = np.unique(index[order], return_index=True)
            self.blobs[0].diff[rows] += np.add.reduceat(dy[order], starts, axis=0)
        if self._bias and self.param_propagate_down(1):
            self.blobs[1].diff[...] += sum_over((0,), dy)
