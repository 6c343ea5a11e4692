"""Transformer: from pictures to a net's input and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pycaffe_lite._typing import Array, FloatArray
from pycaffe_lite.data.pictures import resize_image
from pycaffe_lite.errors import CaffeError, ShapeError

_CHANNELS = "Pictures need the net's channels: caffe.io.load_image gives three, or with color=False one."


class Transformer:
    """Makes inputs of pictures: resize, transpose, swap channels, scale, subtract the mean, scale again.

    `inputs` maps names of a net's inputs to their shapes, batch axis included: {"data": net.blobs["data"].shape}. Each
    step but the first is taken where it was set. Wrong names and shapes raise CaffeError, or ShapeError.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, Array] = {}
        self.input_scale: dict[str, float] = {}

    def preprocess(self, in_: str, data: Array) -> FloatArray:
        """A picture (height, width, channels) as input, float32 (channels, height, width) after the usual transpose."""
        self._check(in_)
        size = tuple(self.inputs[in_][2:])
        made: FloatArray = np.array(data, np.float32)
        if made.shape[:2] != size:
            made = resize_image(made, size)
        if in_ in self.transpose:
            if made.ndim != len(self.transpose[in_]):
                raise ShapeError(f"The picture has shape {made.shape}", hint="It must be (height, width, channels).")
            made = made.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            swap = list(self.channel_swap[in_])
            if len(made) < len(swap):
                raise ShapeError(f"The picture has {len(made)} channels, channel_swap {len(swap)}", hint=_CHANNELS)
            made = made[swap]
        if self.raw_scale.get(in_) is not None:
            made *= self.raw_scale[in_]
        if self.mean.get(in_) is not None:
            mean = self.mean[in_]
            try:
                made -= mean
            except ValueError:
                raise ShapeError(f"The picture has shape {made.shape}, the mean {mean.shape}", hint=_CHANNELS) from None
        if self.input_scale.get(in_) is not None:
            made *= self.input_scale[in_]
        return made

    def deprocess(self, in_: str, data: Array) -> Array:
        """An input, with or without a batch axis of 1, as the picture that it was made of, in the input's size."""
        self._check(in_)
        made: Array = np.array(data)
        while made.ndim >= len(self.inputs[in_]) and made.shape[0] == 1:
            made = made[0]
        if self.input_scale.get(in_) is not None:
            made = made / self.input_scale[in_]
        if self.mean.get(in_) is not None:
            made = made + self.mean[in_]
        if self.raw_scale.get(in_) is not None:
            made = made / self.raw_scale[in_]
        if in_ in self.channel_swap:
            made = made[np.argsort(self.channel_swap[in_])]
        if in_ in self.transpose:
            return made.transpose(np.argsort(self.transpose[in_]))
        return made.squeeze()

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of a picture's axes in the input: (2, 0, 1) makes (channels, height, width)."""
        self._check(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise ShapeError(
                "Transpose order needs to have the same number of dimensions as the input: "
                f"{tuple(order)}, the input without its batch axis has {len(self.inputs[in_]) - 1}"
            )
        if sorted(order) != list(range(len(order))):
            raise ShapeError(
                f"Transpose order {tuple(order)} does not name each of the axes 0 to {len(order) - 1} once",
                hint="(2, 0, 1) makes (channels, height, width) of (height, width, channels).",
            )
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of the channels, after the transpose: (2, 1, 0) makes BGR of RGB."""
        self._check(in_)
        if len(order) != self.inputs[in_][1]:
            raise ShapeError(
                "Channel swap needs to have the same number of dimensions as the input channels: "
                f"{tuple(order)}, the input has {self.inputs[in_][1]}"
            )
        if not all(-len(order) <= channel < len(order) for channel in order):
            raise ShapeError(
                f"Channel swap {tuple(order)} names others than the channels 0 to {len(order) - 1}",
                hint="(2, 1, 0) makes BGR of RGB.",
            )
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """The factor before the mean is subtracted: 255 for pictures of `load_image`."""
        self._check(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: Array) -> None:
        """What is subtracted: (channels,), or (channels, height, width) or (height, width), resized if need be."""
        self._check(in_)
        shape = tuple(self.inputs[in_][1:])
        mean = np.asarray(mean)
        if mean.ndim == 1:
            mean = mean[:, np.newaxis, np.newaxis]
        elif mean.ndim == 2:
            mean = mean[np.newaxis]
        if mean.ndim != 3:
            raise ShapeError(f"Mean shape invalid: {mean.shape}", hint="Give 1, 2 or 3 axes; of a blob, mean[0].")
        if mean.shape[0] != shape[0]:
            raise ShapeError(f"Mean channels incompatible with input: {mean.shape[0]}, the input has {shape[0]}")
        if mean.shape[1:] != (1, 1) and mean.shape != shape:
            mean = resize_image(mean.transpose(1, 2, 0), shape[1:]).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """The factor after the mean was subtracted."""
        self._check(in_)
        self.input_scale[in_] = scale

    def _check(self, in_: Any) -> None:
        if in_ not in self.inputs:
            raise CaffeError(f"{in_!r} is not one of the net inputs: {', '.join(map(str, self.inputs))}")
