"""Convolution: every output channel is a sum of shifted, weighted input channels.

Output place p of channel m sees, for each channel c of its group and each kernel offset k, the input at
p · stride + k · dilation - pad:

    y[m, p] = b[m] + Σ_c Σ_k W[m, c, k] x[c, p · stride + k · dilation - pad]

Written as matrices, with X the columns of the input that each place sees (im2col): Y = W X + b. So

    dW += dY Xᵀ        db += Σ dY        dX = Wᵀ dY, each number added back where it came from (col2im)

The three products, for any number of spatial axes, are in _im2col.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.constraints import at_least as value_at_least
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, at_least, canonical_axis, same_shape
from pycaffe_lite.layers import _im2col
from pycaffe_lite.layers._im2col import Geometry
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

_P = "convolution_param."


@register_layer("Convolution")
class Convolution(Layer):
    """Convolution over all axes behind `axis` (the channels). Each bottom gives the top of the same number.

    Bottoms (..., C, *spatial), all of one shape; tops (..., num_output, *output), output = ⌊(in + 2 pad - dilation
    (kernel - 1) - 1) / stride⌋ + 1. Blobs: W (num_output, C / group, *kernel), b (num_output) with bias_term.

    Raises ParameterError where kernel_size, stride, pad and dilation do not fit the axes or group does not divide the
    channels, ShapeError where the kernel does not fit into the bottom or a reshaped bottom has another C.
    """

    bottoms = at_least(1)
    tops = at_least(1)
    same_number = True
    constraints = {"convolution_param.num_output": value_at_least(1), "convolution_param.group": value_at_least(1)}

    def backward_reads_top_data(self) -> bool:
        return False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        same_shape(bottom_shapes)
        shape = bottom_shapes[0]
        axis = canonical_axis(self._message.convolution_param.axis, shape, _P + "axis")
        geometry = read_geometry(self._message.convolution_param, len(shape) - axis - 1)
        spatial = geometry.output_shape(shape[axis + 1 :])
        if any(n < 1 for n in spatial):
            raise ShapeError(
                f"The kernel {geometry.kernel} does not fit into a bottom of shape {shape}",
                hint=f"With pad {geometry.pad} and dilation {geometry.dilation} it must.",
            )
        return [(*shape[:axis], self._message.convolution_param.num_output, *spatial)] * len(bottom_shapes)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p, shape = self._message.convolution_param, bottom[0].shape
        self._axis = canonical_axis(p.axis, shape, _P + "axis")
        self._geometry = read_geometry(p, len(shape) - self._axis - 1)
        self._channels, self._bias = shape[self._axis], p.bias_term
        for what, count in (("num_output", p.num_output), ("the number of channels", self._channels)):
            if count % p.group:
                raise ParameterError(
                    f"group is {p.group}, {what} is {count}",
                    field=_P + "group",
                    hint="group must divide both num_output and the channels.",
                )
        self._add_param((p.num_output, self._channels // p.group, *self._geometry.kernel), p.weight_filler)
        if p.bias_term:
            self._add_param((p.num_output,), p.bias_filler)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        if shape[self._axis] != self._channels:
            raise ShapeError(
                f"bottom shape {shape} has {shape[self._axis]} channels, the weights are for {self._channels}",
                hint="The number of channels cannot change once the net is built.",
            )
        super().reshape(bottom, top)

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

    def _items(self, array: Array) -> Array:
        """The array with one batch axis before the channels: (N, C, *spatial)."""
        if self._axis == 1:
            return array
        return array.reshape(math.prod(array.shape[: self._axis]), *array.shape[self._axis :])


def read_geometry(p: pb.ConvolutionParameter, axes: int) -> Geometry:
    """Kernel, stride, pad and dilation for this many spatial axes, each given once, once per axis, or as _h and _w.

    Raises ParameterError.
    """

    def values(
        name: str, repeated: Sequence[int], pair: tuple[str, str] | None, default: int | None, low: int
    ) -> Shape:
        names, given = [name], list(repeated)
        if pair is not None and any(p.HasField(n) for n in pair):
            if axes != 2:
                raise ParameterError(
                    f"{pair[0]} and {pair[1]} are for 2 spatial axes, here are {axes}",
                    field=_P + pair[0],
                    hint=f"Give {name} once or {axes} times.",
                )
            if given:
                raise ParameterError(
                    f"{name} and {pair[0]} or {pair[1]} are both given",
                    field=_P + f"{name}[0]",
                    hint="Give one of them.",
                )
            names, given = list(pair), [getattr(p, n) for n in pair]
        if not given and default is not None:
            given = [default]
        if len(given) == 1:
            given *= axes
        if len(given) != axes:
            raise ParameterError(
                f"{name} is given {len(given)} times for {axes} spatial axes",
                field=_P + f"{name}[0]",
                hint="Give it once or once per axis.",
            )
        for k, v in enumerate(given):
            if v < low:
                wrong = names[k % len(names)]
                place = f"{wrong}[{min(k, len(repeated) - 1)}]" if repeated else wrong
                raise ParameterError(f"{wrong} is {v}", field=_P + place, hint=f"It must be at least {low}.")
        return tuple(given)

    return Geometry(
        kernel=values("kernel_size", p.kernel_size, ("kernel_h", "kernel_w"), None, 1),
        stride=values("stride", p.stride, ("stride_h", "stride_w"), 1, 1),
        pad=values("pad", p.pad, ("pad_h", "pad_w"), 0, 0),
        dilation=values("dilation", p.dilation, None, 1, 1),
        group=p.group,
    )
