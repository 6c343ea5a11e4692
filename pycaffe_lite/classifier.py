"""Classifier: pictures in, probabilities out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from pycaffe_lite._files import PathLike
from pycaffe_lite._transformer import Transformer
from pycaffe_lite._typing import Array
from pycaffe_lite.data.pictures import resize_image
from pycaffe_lite.errors import GraphError, ShapeError
from pycaffe_lite.io import oversample as crops_of
from pycaffe_lite.net import Net
from pycaffe_lite.proto.caffe_pb2 import TEST
from pycaffe_lite.weights_io import copy_to_use


class PictureNet(Net):
    """A net in phase TEST whose first input is made of pictures by `transformer`."""

    def __init__(
        self,
        model_file: PathLike,
        pretrained_file: PathLike,
        mean: Array | None,
        input_scale: float | None,
        raw_scale: float | None,
        channel_swap: Sequence[int] | None,
        reuse_memory: bool,
    ) -> None:
        super().__init__(model_file, TEST, reuse_memory=reuse_memory)
        if pretrained_file is not None:
            copy_to_use(self, pretrained_file)
        if not self.inputs:
            raise GraphError(
                f"{os.fspath(model_file)} has no Input layer to put pictures in",
                hint="Give the deploy net, not the one with data layers.",
            )
        name = self.inputs[0]
        self.transformer = Transformer({name: self.blobs[name].shape})
        self.transformer.set_transpose(name, (2, 0, 1))
        if mean is not None:
            self.transformer.set_mean(name, mean)
        if input_scale is not None:
            self.transformer.set_input_scale(name, input_scale)
        if raw_scale is not None:
            self.transformer.set_raw_scale(name, raw_scale)
        if channel_swap is not None:
            self.transformer.set_channel_swap(name, channel_swap)

    def _run(self, pictures: Iterable[Array]) -> Array:
        """The first output for pictures (height, width, channels), batch by batch."""
        name = self.inputs[0]
        ready = np.stack([self.transformer.preprocess(name, picture) for picture in pictures])
        return self.forward_all(**{name: ready})[self.outputs[0]]


class Classifier(PictureNet):
    """A net that classifies pictures.

    `image_dims` (height, width) is what pictures are resized to before they are cropped to the net's input, default
    the input's own size; the rest are the Transformer's settings (`mean` (channels, height, width) or (channels,)), and
    Net's reuse_memory. Raises what Net raises, ShapeError, and GraphError for a net without an Input layer.

    Scripts write Classifier(model, weights, caffe.TEST), as they would for a Net, and pycaffe lets them until they
    predict: a number in the place of `image_dims` counts as none.
    """

    def __init__(
        self,
        model_file: PathLike,
        pretrained_file: PathLike,
        image_dims: Sequence[int] | int | None = None,
        mean: Array | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        *,
        reuse_memory: bool = False,
    ) -> None:
        super().__init__(model_file, pretrained_file, mean, input_scale, raw_scale, channel_swap, reuse_memory)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        none_given = image_dims is None or isinstance(image_dims, int) or not len(image_dims)
        self.image_dims = self.crop_dims if none_given else np.array(image_dims)
        if self.image_dims.shape != (2,):
            raise ShapeError(f"image_dims are {image_dims}", hint="Give two numbers, height and width.")
        if (self.image_dims < self.crop_dims).any():
            raise ShapeError(
                f"image_dims {tuple(map(int, self.image_dims))} are smaller than the net's input, "
                f"{tuple(map(int, self.crop_dims))}"
            )

    def predict(self, inputs: Sequence[Array], oversample: bool = True) -> Array:
        """The net's first output for each of N pictures (height, width, channels).

        With `oversample`, (N, classes): the mean over ten crops, corners, middle and their mirror images; without, the
        middle's output, (N, ...). Raises ShapeError where there are none.
        """
        images = [resize_image(picture, self.image_dims) for picture in inputs]
        if not images:
            raise ShapeError("There are no pictures", hint="Give a list of arrays (height, width, channels).")
        if oversample:
            found = self._run(crops_of(images, self.crop_dims))
            mean: Array = found.reshape(len(found) // 10, 10, -1).mean(1)
            return mean
        (y, x), (height, width) = (self.image_dims - self.crop_dims) // 2, self.crop_dims
        return self._run([image[y : y + height, x : x + width] for image in images])
