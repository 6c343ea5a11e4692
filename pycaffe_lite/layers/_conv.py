"""What Convolution, Deconvolution and Im2col share: reading the windows, and learnt weights for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.constraints import at_least as value_at_least
from pycaffe_lite.done import Done, together
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, at_least, canonical_axis, learns, same_shape
from pycaffe_lite.layers._auto_pad import pads_itself
from pycaffe_lite.layers._im2col import Geometry
from pycaffe_lite.proto import caffe_pb2 as pb

_P = "convolution_param."


class WeightedWindows(Layer):
    """Channels at `axis` and spatial axes behind it; each bottom, all of one shape, gives the top of the same number.

    Blobs: W, of the shape that a subclass says, and b (num_output) with bias_term.
    """

    bottoms = at_least(1)
    tops = at_least(1)
    same_number = True
    constraints = {"convolution_param.num_output": value_at_least(1), "convolution_param.group": value_at_least(1)}

    def backward_reads_top_data(self) -> bool:
        return False

    def windows(self, shape: Shape) -> tuple[int, Geometry]:
        """As read_windows, for bottoms of this shape."""
        return read_windows(self._message.convolution_param, shape)

    def output_shape(self, geometry: Geometry, shape: Shape, axis: int) -> Shape:
        """The tops' spatial axes, for bottoms of this shape with the channels at `axis`."""
        raise NotImplementedError

    def weight_channels(self, channels: int) -> Shape:
        """W's first two axes, for bottoms of so many channels; the kernel's follow."""
        raise NotImplementedError

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        same_shape(bottom_shapes)
        p, shape = self._message.convolution_param, bottom_shapes[0]
        axis, geometry = self.windows(shape)
        return [(*shape[:axis], p.num_output, *self.output_shape(geometry, shape, axis))] * len(bottom_shapes)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p, shape = self._message.convolution_param, bottom[0].shape
        self._axis, geometry = self.windows(shape)
        self._channels, self._bias = shape[self._axis], p.bias_term
        for what, count in (("num_output", p.num_output), ("the number of channels", self._channels)):
            if count % p.group:
                raise ParameterError(
                    f"group is {p.group}, {what} is {count}",
                    field=_P + "group",
                    hint="group must divide both num_output and the channels.",
                )
        self._add_param((*self.weight_channels(self._channels), *geometry.kernel), _P + "weight_filler")
        if p.bias_term:
            self._add_param((p.num_output,), _P + "bias_filler")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        axes = self._axis + len(self.blobs[0].shape) - 1
        if len(shape) != axes:
            raise ShapeError(
                f"bottom shape {shape} has {len(shape)} axes, the weights are for {axes}",
                hint="The number of axes cannot change once the net is built.",
            )
        if shape[self._axis] != self._channels:
            raise ShapeError(
                f"bottom shape {shape} has {shape[self._axis]} channels, the weights are for {self._channels}",
                hint="The number of channels cannot change once the net is built.",
            )
        super().reshape(bottom, top)
        self._geometry = over_a_place(self.windows(shape)[1])  # auto_pad's padding depends on the size

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        done, wanted = list[Done | None](), learns(self)
        for x, y, down in zip(bottom, top, propagate_down, strict=True):
            if wanted and down:
                done.append(self._backward_both(x, y))
            elif wanted:
                done.append(self._backward_weights(x, y))
            elif down:
                done.append(self._backward_data(x, y))
        return together(done) if len(bottom) == 1 else None

    def _backward_both(self, x: Blob, y: Blob) -> Done | None:
        """What the two below do."""
        return together([self._backward_weights(x, y), self._backward_data(x, y)])

    def _backward_weights(self, x: Blob, y: Blob) -> Done | None:
        """Add those of W and b that are wanted, for a bottom and its top. Returns what passes return."""
        raise NotImplementedError

    def _backward_data(self, x: Blob, y: Blob) -> Done | None:
        """Make that of the bottom. Returns what passes return."""
        raise NotImplementedError

    def _items(self, array: Array) -> Array:
        """The array with one batch axis before the channels, and at least one behind: (N, C, *spatial)."""
        return one_batch_axis(array, self._axis)


def one_batch_axis(array: Array, axis: int) -> Array:
    """The array with one axis in place of those before `axis`; one of 1 behind it where there is none."""
    behind = array.shape[axis + 1 :] or (1,)
    return array.reshape(math.prod(array.shape[:axis]), array.shape[axis], *behind)


def over_a_place(geometry: Geometry) -> Geometry:
    """Windows over no axes at all, as those over an axis of one place, which one_batch_axis adds."""
    return geometry if geometry.kernel else Geometry((1,), (1,), (0,), (1,), geometry.group)


def read_windows(p: pb.ConvolutionParameter, shape: Shape, *, transposed: bool = False) -> tuple[int, Geometry]:
    """The axis of the channels, and the windows over the axes behind it; where `transposed`, over those of the output.

    Raises ParameterError.
    """
    axis = canonical_axis(p.axis, shape, _P + "axis")
    geometry, spatial = read_geometry(p, len(shape) - axis - 1), shape[axis + 1 :]
    if not pads_itself(p, bool(p.pad), _P):
        geometry = geometry if transposed else geometry.truncating(spatial)
    elif p.auto_pad == pb.SAME:
        if transposed:
            spatial = tuple(n * s for n, s in zip(spatial, geometry.stride, strict=True))
        geometry = geometry.padded_same(spatial)
    return axis, geometry


def count_windows(geometry: Geometry, shape: Shape, axis: int) -> Shape:
    """How many windows fit along each axis behind `axis`; ShapeError where none does."""
    spatial = geometry.output_shape(shape[axis + 1 :])
    if any(n < 1 for n in spatial):
        raise ShapeError(
            f"The kernel {geometry.kernel} does not fit into a bottom of shape {shape}",
            hint=f"With pad {geometry.pad} and dilation {geometry.dilation} it must.",
        )
    return spatial


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
