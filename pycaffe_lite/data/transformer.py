"""Caffe's DataTransformer: from a data set's images to a network's input.

out = (crop(image) - mean) · scale, then mirrored left to right; the mean image is cropped where the image is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array, FloatArray, Shape
from pycaffe_lite.errors import (
    CaffeError,
    DataError,
    MissingFileError,
    ParameterError,
    ParseError,
    ShapeError,
    size_text,
)
from pycaffe_lite.proto.caffe_pb2 import TRAIN, TransformationParameter
from pycaffe_lite.schema import read_binaryproto


class DataTransformer:
    """Crops, mirrors, subtracts the mean and scales, as a TransformationParameter says.

    Crops are random in phase TRAIN and central in TEST; `mirror` mirrors every other image on average, in both
    phases; `rng` draws. The mean is an image (`mean_file`, a BlobProto) or one value or one per channel
    (`mean_value`).

    Raises ParameterError when both kinds of mean, or both force_color and force_gray, are given; MissingFileError and
    ParseError for the mean file.

    Differences from Caffe: the random numbers are not Caffe's; a mean file of shape (C, H, W) is taken too.
    """

    def __init__(self, transform_param: TransformationParameter, phase: int, rng: np.random.Generator) -> None:
        if transform_param.force_color and transform_param.force_gray:
            raise ParameterError(
                "transform_param sets both force_color and force_gray",
                field="transform_param.force_gray",
                hint="Set one of them.",
            )
        self._param = transform_param
        self._crop = transform_param.crop_size
        self._random_crop = self._crop > 0 and phase == TRAIN
        self._rng = rng
        self._mean_image = mean_image(transform_param)
        self._mean_values = np.array(transform_param.mean_value, np.float32).reshape(-1, 1, 1)

    def shape(self, datum_shape: Sequence[int]) -> Shape:
        """What an image of shape (C, H, W) becomes: (C, crop_size, crop_size), or its own shape without a crop.

        Raises ShapeError when the crop is larger than the image or the mean image has another shape, ParameterError
        when there are several mean values and not C.
        """
        channels, height, width = datum_shape
        size = f"{channels}×{height}×{width}"
        if min(datum_shape) < 1:
            raise ShapeError(f"An image of {size} is empty")
        if self._crop > min(height, width):
            raise ShapeError(
                f"crop_size {self._crop} is larger than an image of {size}",
                field="transform_param.crop_size",
                hint="Make crop_size smaller or resize the images when converting them.",
            )
        if self._mean_image is not None and self._mean_image.shape != (channels, height, width):
            raise ShapeError(
                f"The mean image '{self._param.mean_file}' is {'×'.join(map(str, self._mean_image.shape))}, "
                f"the images are {size}",
                field="transform_param.mean_file",
                hint="Compute the mean from the same data set.",
            )
        if len(self._mean_values) not in (0, 1, channels):
            raise ParameterError(
                f"There are {len(self._mean_values)} mean_value's for images of {size}",
                field="transform_param.mean_value[0]",
                hint="Give one." if channels == 1 else f"Give one, or {channels}.",
            )
        return (channels, self._crop or height, self._crop or width)

    def transform_batch(self, images: Array | Sequence[Array], out: FloatArray) -> None:
        """Fill `out` (n, C, h, w) from n images: one (n, C, H, W) array or n arrays (C, H, W), of any number type.

        Raises ShapeError where `out` cannot take them, DataError where an image has another shape than its batch, and
        what `shape` raises.
        """
        if len(images) != len(out):
            raise ShapeError(f"A batch of {len(images)} images does not fit into one of {len(out)}")
        stacked = isinstance(images, np.ndarray)
        for index, image in enumerate(images[:1] if stacked else images):
            shape = self.shape(image.shape)
            if shape != out.shape[1:]:
                raise DataError(
                    f"Image {index} of a batch is {'×'.join(map(str, shape))} after cropping, where "
                    f"{'×'.join(map(str, out.shape[1:]))} is expected",
                    hint="Resize the images to one size, or set crop_size; force_color evens out channels.",
                )
        mirrored = np.zeros(len(images), bool)
        if self._param.mirror:
            mirrored = self._rng.integers(2, size=len(images)).astype(bool)
        if isinstance(images, np.ndarray) and not self._random_crop:
            self._write(images, *self._centre(images.shape), out)
            if self._param.mirror:
                out[mirrored] = out[mirrored][..., ::-1]
            return
        for image, target, flip in zip(images, out, mirrored, strict=True):
            top, left = self._centre(image.shape)
            if self._random_crop:
                top = int(self._rng.integers(image.shape[-2] - self._crop + 1))
                left = int(self._rng.integers(image.shape[-1] - self._crop + 1))
            self._write(image, top, left, target[:, :, ::-1] if flip else target)

    def _centre(self, shape: Sequence[int]) -> tuple[int, int]:
        return ((shape[-2] - self._crop) // 2, (shape[-1] - self._crop) // 2) if self._crop else (0, 0)

    def _write(self, images: Array, top: int, left: int, out: FloatArray) -> None:
        """One image or a whole batch, cropped at one place."""
        height, width = out.shape[-2:]
        out[...] = images[..., top : top + height, left : left + width]
        if self._mean_image is not None:
            out -= self._mean_image[:, top : top + height, left : left + width]
        elif len(self._mean_values):
            out -= self._mean_values
        if self._param.scale != 1:
            out *= self._param.scale


def mean_image(param: TransformationParameter) -> FloatArray | None:
    """The mean image that is asked for, if one is; raises what read_mean_image raises, and ParameterError where
    mean_value is given too.
    """
    if not param.HasField("mean_file"):
        return None
    if param.mean_value:
        raise ParameterError(
            "transform_param has both mean_file and mean_value",
            field="transform_param.mean_file",
            hint="Give one of them.",
        )
    return read_mean_image(param.mean_file)


def read_mean_image(path: str) -> FloatArray:
    """The mean image (C, H, W) in a BlobProto file; raises MissingFileError and ParseError."""
    field = "transform_param.mean_file"
    try:
        mean = read_binaryproto(path)
    except MissingFileError as e:
        hint = e.hint or "compute_image_mean makes one from a database."
        found = e.found if os.path.isdir(path) else f"There is no mean file '{path}'"
        raise MissingFileError(found, field=field, hint=hint) from e
    except CaffeError as e:
        raise ParseError(f"'{path}' cannot be read as a mean image: {e.found}", field=field) from e
    shape = mean.shape[-3:]
    if len(shape) != 3 or mean.size != math.prod(shape):
        raise ParseError(
            f"'{path}' is not a mean image: it holds {mean.size} numbers of shape {size_text(mean.shape)}",
            field=field,
            hint="A mean image is a BlobProto of 1×channels×height×width.",
        )
    return mean.reshape(shape)
