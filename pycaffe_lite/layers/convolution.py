"""Convolution: every output channel is a sum of shifted, weighted input channels.

Output place p of channel m sees, for each channel c of its group and each kernel offset k, the input at
p · stride + k · dilation - pad:

    y[m, p] = b[m] + Σ_c Σ_k W[m, c, k] x[c, p · stride + k · dilation - pad]

Written as matrices, with X the columns of the input that each place sees (im2col): Y = W X + b. So

    dW += dY Xᵀ        db += Σ dY        dX = Wᵀ dY, each number added back where it came from (col2im)

The three products, for any number of spatial axes, are in _im2col.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers import _im2col
from pycaffe_lite.layers._conv import WeightedWindows, count_windows
from pycaffe_lite.layers._im2col import Geometry
from pycaffe_lite.registry import register_layer


@register_layer("Convolution")
class Convolution(WeightedWindows):
    """Convolution over all axes behind `axis` (the channels). Each bottom gives the top of the same number.

    Bottoms (..., C, *spatial), all of one shape; tops (..., num_output, *output), output = ⌊(in + 2 pad - dilation
    (kernel - 1) - 1) / stride⌋ + 1; auto_pad: SAME instead of pad gives ⌈in / stride⌉ as in TensorFlow, with the odd
    place of padding behind, VALID no padding. Blobs: W (num_output, C / group, *kernel), b (num_output) with bias_term.

    Raises ParameterError where kernel_size, stride, pad and dilation do not fit the axes or group does not divide the
    channels, ShapeError where the kernel does not fit into the bottom or a reshaped bottom has another C.
    """

    def output_shape(self, geometry: Geometry, shape: Shape, axis: int) -> Shape:
        return count_windows(geometry, shape, axis)

    def weight_channels(self, channels: int) -> Shape:
        p = self._message.convolution_param
        return p.num_output, channels // p.group

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        w = self.blobs[0].data
        b = self.blobs[1].data if self._bias else None
        for x, y in zip(bottom, top, strict=True):
            _im2col.conv_forward(self._items(x.data), w, b, self._items(y.data), self._geometry, self._scratch)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        dw = self.blobs[0].diff if self.param_propagate_down(0) else None
        db = self.blobs[1].diff if self._bias and self.param_propagate_down(1) else None
        for x, y, down in zip(bottom, top, propagate_down, strict=True):
            dy = self._items(y.diff)
            if dw is not None or db is not None:
                _im2col.conv_backward_weight(self._items(x.data), dy, dw, db, self._geometry, self._scratch)
            if down:
                _im2col.conv_backward_data(dy, self.blobs[0].data, self._items(x.diff), self._geometry, self._scratch)
