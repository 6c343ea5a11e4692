"""Im2col: what each window of a convolution sees, as a column: y[(c, k), o] = x[c, o · stride + k · dilation - pad].

Backward sums what windows that overlap send to one place (col2im).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.layers import _im2col
from pycaffe_lite.layers._conv import count_windows, one_batch_axis, over_a_place, read_windows
from pycaffe_lite.registry import register_layer


@register_layer("Im2col")
class Im2col(Layer):
    """Bottom (..., C, *spatial), C at convolution_param.axis; top (..., C · places of the kernel, *output), output as
    Convolution's.

    Raises ParameterError and ShapeError as Convolution does.
    """

    bottoms = exactly(1)
    tops = exactly(1)

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        shape = bottom_shapes[0]
        axis, geometry = read_windows(self._message.convolution_param, shape)
        rows = shape[axis] * math.prod(geometry.kernel)
        return [(*shape[:axis], rows, *count_windows(geometry, shape, axis))]

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        self._axis, geometry = read_windows(self._message.convolution_param, bottom[0].shape)
        self._geometry = over_a_place(geometry)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x, y = one_batch_axis(bottom[0].data, self._axis), one_batch_axis(top[0].data, self._axis)
        _im2col.im2col(x, y, self._geometry, self._scratch)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            dy, dx = one_batch_axis(top[0].diff, self._axis), one_batch_axis(bottom[0].diff, self._axis)
            _im2col.col2im(dy, dx, self._geometry, self._scratch)
