"""Tile: `tiles` copies of the bottom one behind the other along `axis`; their gradients are summed: dx = Σ dy_k."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.constraints import at_least
from pycaffe_lite.layer import Blobs, Layer, canonical_axis, exactly
from pycaffe_lite.registry import register_layer


@register_layer("Tile")
class Tile(Layer):
    """Top: the bottom's shape, tiles times as long along `axis`."""

    bottoms = exactly(1)
    tops = exactly(1)
    constraints = {"tile_param.tiles": at_least(1)}

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        p, shape = self._message.tile_param, bottom_shapes[0]
        axis = canonical_axis(p.axis, shape, "tile_param.axis")
        return [(*shape[:axis], shape[axis] * p.tiles, *shape[axis + 1 :])]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].data
        self._copies(top[0].data, x.shape)[...] = self._copies(x, x.shape)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            dx = bottom[0].diff
            np.sum(self._copies(top[0].diff, dx.shape), axis=1, keepdims=True, out=self._copies(dx, dx.shape))

    def _copies(self, array: Array, shape: Shape) -> Array:
        """The array as (what is before the axis, copies, what is from the axis on), for a bottom of this shape."""
        p = self._message.tile_param
        axis = canonical_axis(p.axis, shape)
        copies = 1 if array.shape == shape else p.tiles
        return array.reshape(math.prod(shape[:axis]), copies, math.prod(shape[axis:]))
