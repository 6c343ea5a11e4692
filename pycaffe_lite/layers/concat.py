"""Concat: the bottoms one behind the other along `axis`; each gets its part of the gradient back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, at_least, canonical_axis, exactly
from pycaffe_lite.order import order_of
from pycaffe_lite.registry import register_layer
from pycaffe_lite.threads import each


@register_layer("Concat")
class Concat(Layer):
    """Top: the bottoms' common shape, with their sizes along `axis` (or the old concat_dim) added up.

    Raises ShapeError when bottoms differ elsewhere, ParameterError when axis and concat_dim are both given.
    """

    bottoms = at_least(1)
    tops = exactly(1)

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def joins_channels(self, bottom_shapes: Sequence[Shape]) -> bool:
        return self._axis(bottom_shapes[0]) == 1

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def _axis(self, shape: Shape) -> int:
        p = self._message.concat_param
        if p.HasField("concat_dim"):
            if p.HasField("axis"):
                raise ParameterError(
                    "axis and concat_dim are both given",
                    field="concat_param.concat_dim",
                    hint="concat_dim is axis's old name: drop it.",
                )
            return canonical_axis(p.concat_dim, shape, "concat_param.concat_dim")
        return canonical_axis(p.axis, shape, "concat_param.axis")

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        first = bottom_shapes[0]
        axis = self._axis(first)
        for i, shape in enumerate(bottom_shapes):
            if len(shape) != len(first) or shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
                raise ShapeError(
                    f"bottom {i} has shape {shape}, bottom 0 has shape {first}",
                    hint=f"They must be equal except along axis {axis}.",
                )
        return [(*first[:axis], sum(s[axis] for s in bottom_shapes), *first[axis + 1 :])]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        arrays = [blob.stored("data") for blob in bottom]
        y = top[0].open("data", order_of(arrays[0]))
        for array, part in zip(arrays, self._parts(bottom, y), strict=True):
            self._copy(array, part)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        dy = top[0].stored("diff")
        for blob, part, down in zip(bottom, self._parts(bottom, dy), propagate_down, strict=True):
            if down:
                self._copy(part, blob.open("diff", order_of(dy)))

    def _copy(self, source: Array, target: Array) -> None:
        each(np.copyto, target, source)

    def _parts(self, bottom: Blobs, whole: Array) -> Iterator[Array]:
        """The slices of the top's array that belong to each bottom."""
        axis, start = self._axis(bottom[0].shape), 0
        for blob in bottom:
            stop = start + blob.shape[axis]
            yield whole[(slice(None),) * axis + (slice(start, stop),)]
            start = stop
