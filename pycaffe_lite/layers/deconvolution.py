"""Deconvolution, or transposed convolution: each input number is spread over a window of the output.

It is the backward pass of the Convolution with the same weights that would make the bottom out of the top. With X(a)
the columns of an array of the top's shape (im2col), and col2im its transpose:

    y = col2im(Wᵀ x) + b        dW += x X(dy)ᵀ        db += Σ dy        dx = W X(dy)
"""

from __future__ import annotations

from pycaffe_lite._typing import Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.done import Done
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers import _im2col
from pycaffe_lite.layers._conv import WeightedWindows, read_windows
from pycaffe_lite.layers._im2col import Geometry
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.order import Order
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer


@register_layer("Deconvolution")
class Deconvolution(WeightedWindows):
    """Deconvolution over all axes behind `axis` (the channels). Each bottom gives the top of the same number.

    Bottoms (..., C, *spatial), all of one shape; tops (..., num_output, *output), output = stride (in - 1) + dilation
    (kernel - 1) + 1 - 2 pad. With auto_pad, as in TensorFlow: stride in for SAME, for VALID as much more as the kernel
    with its dilation is longer than the stride.

    Blobs: W (C, num_output / group, *kernel), b (num_output) with bias_term.

    Raises ParameterError as Convolution does, ShapeError where pad leaves nothing of the output or a reshaped bottom
    has another C.
    """

    passing_scratch = frozenset({"columns", "sums"})

    def windows(self, shape: Shape) -> tuple[int, Geometry]:
        return read_windows(self._message.convolution_param, shape, transposed=True)

    def output_shape(self, geometry: Geometry, shape: Shape, axis: int) -> Shape:
        if 0 in shape[axis + 1 :]:
            raise ShapeError(f"A bottom of shape {shape} has a spatial axis of length 0")
        auto_pad = self._message.convolution_param.auto_pad
        if auto_pad != pb.EXPLICIT:
            by_axis = zip(shape[axis + 1 :], geometry.stride, geometry.extent, strict=True)
            return tuple(n * s + (max(0, e - s) if auto_pad == pb.VALID else 0) for n, s, e in by_axis)
        spatial = geometry.input_shape(shape[axis + 1 :])
        if any(n < 1 for n in spatial):
            raise ShapeError(
                f"pad {geometry.pad} leaves nothing of what a bottom of shape {shape} gives",
                hint=f"The output's spatial axes would be {spatial}.",
            )
        return spatial

    def weight_channels(self, channels: int) -> Shape:
        p = self._message.convolution_param
        return channels, p.num_output // p.group

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        w = self.blobs[0].stored("data")
        for blob, out in zip(bottom, top, strict=True):
            y = self._items(out.open("data", Order.PLAIN))
            x = self._items(blob.in_order("data"))
            _im2col.conv_backward_data(x, w, y, self._geometry, self._scratch)
            if self._bias:
                y += self.blobs[1].stored("data").reshape(-1, *[1] * (y.ndim - 2))

    def _backward_weights(self, x: Blob, y: Blob) -> Done | None:
        dy = self._items(y.in_order("diff"))
        if self._bias and self.param_propagate_down(1):
            self.blobs[1].diff[...] += sum_over((0, *range(2, dy.ndim)), dy)
        if self.param_propagate_down(0):
            dw, source = self.blobs[0].diff, self._items(x.in_order("data"))
            _im2col.conv_backward_weight(dy, source, dw, None, self._geometry, self._scratch)
        return None

    def _backward_data(self, x: Blob, y: Blob) -> Done | None:
        dy, dx = self._items(y.in_order("diff")), self._items(x.open("diff", Order.PLAIN))
        _im2col.conv_forward(dy, self.blobs[0].stored("data"), None, dx, self._geometry, self._scratch)
        return None
