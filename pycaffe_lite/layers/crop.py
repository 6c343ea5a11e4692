"""Crop: from bottom 0 a part of the size of bottom 1, beginning at `offset`; outside it the gradient is zero."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, canonical_axis, exactly
from pycaffe_lite.registry import register_layer


@register_layer("Crop")
class Crop(Layer):
    """Bottom 1 gives nothing but its sizes from `axis` on; offset is given once, or once for each of these axes, and is
    0 otherwise. Top: bottom 0's shape before `axis`, bottom 1's from there on.

    Raises ParameterError for another number of offsets, ShapeError for a part that bottom 0 does not contain.
    """

    bottoms = exactly(2)
    tops = exactly(1)

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def _part(self, shape: Shape, like: Shape) -> tuple[slice, ...]:
        """What of bottom 0 is kept, axis by axis."""
        p = self._message.crop_param
        axis = canonical_axis(p.axis, shape, "crop_param.axis")
        offsets = list(p.offset) or [0]
        cropped = len(shape) - axis
        if len(offsets) not in (1, cropped):
            raise ParameterError(
                f"offset is given {len(offsets)} times for {cropped} axes from axis {axis} on",
                field="crop_param.offset[0]",
                hint="Give it once or once per axis.",
            )
        if len(like) < len(shape):
            raise ShapeError(f"bottom 1 has shape {like}, bottom 0 has shape {shape}", hint="It needs as many axes.")
        part = [slice(0, n) for n in shape]
        for k in range(axis, len(shape)):
            start = offsets[k - axis] if len(offsets) > 1 else offsets[0]
            part[k] = slice(start, start + like[k])
            if start + like[k] > shape[k]:
                raise ShapeError(
                    f"Along axis {k} bottom 0, of shape {shape}, has no {like[k]} places, as bottom 1 of shape {like} "
                    f"has, from offset {start} on"
                )
        return tuple(part)

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return [tuple(s.stop - s.start for s in self._part(*bottom_shapes))]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        top[0].data[...] = bottom[0].data[self._part(bottom[0].shape, bottom[1].shape)]

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        for blob, down in zip(bottom, propagate_down, strict=True):
            if down:
                blob.diff[...] = 0
        if propagate_down[0]:
            bottom[0].diff[self._part(bottom[0].shape, bottom[1].shape)] = top[0].diff
