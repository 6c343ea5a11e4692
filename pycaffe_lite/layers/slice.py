"""Slice: the bottom cut into parts along `axis`, one for each top; the parts' gradients put together again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, at_least, canonical_axis, exactly
from pycaffe_lite.registry import register_layer


@register_layer("Slice")
class Slice(Layer):
    """Top i: the bottom from one slice_point to the next along `axis` (or the old slice_dim); without slice_points all
    tops are of one size.

    Raises ParameterError when the slice_points are not one fewer than the tops, do not rise, or lie outside, and when
    axis and slice_dim are both given; ShapeError when the axis does not divide into equal parts.
    """

    bottoms = exactly(1)
    tops = at_least(1)

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def _axis(self, shape: Shape) -> int:
        p = self._message.slice_param
        if p.HasField("slice_dim"):
            if p.HasField("axis"):
                raise ParameterError(
                    "axis and slice_dim are both given",
                    field="slice_param.slice_dim",
                    hint="slice_dim is axis's old name: drop it.",
                )
            return canonical_axis(p.slice_dim, shape, "slice_param.slice_dim")
        return canonical_axis(p.axis, shape, "slice_param.axis")

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        shape, points, tops = bottom_shapes[0], list(self._message.slice_param.slice_point), len(self._message.top)
        axis = self._axis(shape)
        size = shape[axis]
        if not points:
            if size % tops:
                raise ShapeError(
                    f"Axis {axis} of the bottom's shape {shape} does not divide into {tops} equal parts",
                    hint="Give slice_point to say where to cut.",
                )
            return [(*shape[:axis], size // tops, *shape[axis + 1 :])] * tops
        if len(points) != tops - 1:
            raise ParameterError(
                f"slice_point is given {len(points)} times for {tops} tops",
                field="slice_param.slice_point[0]",
                hint=f"{tops} tops need {tops - 1}, or none for equal parts.",
            )
        cuts = [0, *points]
        for k, (before, point) in enumerate(itertools.pairwise(cuts)):
            if not before < point <= size:
                raise ParameterError(
                    f"slice_point {point} does not lie between {before} and {size}, the size of axis {axis}",
                    field=f"slice_param.slice_point[{k}]",
                    hint="slice_points must rise.",
                )
        return [(*shape[:axis], b - a, *shape[axis + 1 :]) for a, b in itertools.pairwise([*cuts, size])]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        for blob, part in zip(top, self._parts(bottom[0].data, top), strict=True):
            blob.data[...] = part

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            for blob, part in zip(top, self._parts(bottom[0].diff, top), strict=True):
                part[...] = blob.diff

    def _parts(self, whole: Array, top: Blobs) -> Iterator[Array]:
        """The slices of the bottom's array that belong to each top."""
        axis, start = self._axis(whole.shape), 0
        for blob in top:
            stop = start + blob.shape[axis]
            yield whole[(slice(None),) * axis + (slice(start, stop),)]
            start = stop
