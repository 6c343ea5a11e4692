"""pycaffe's caffe.io: pictures and arrays, and the messages that hold arrays.

Pictures are (height, width, channels) here, channels in the order RGB, values from 0 to 1, as in scikit-image; nets
mostly want (channels, height, width), BGR, 0 to 255. A `Transformer` makes the one of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from google.protobuf.message import DecodeError

from pycaffe_lite._files import PathLike, find_file
from pycaffe_lite._old_names import io_attribute as __getattr__  # noqa: F401
from pycaffe_lite._transformer import Transformer
from pycaffe_lite._typing import Array, FloatArray
from pycaffe_lite.data.datum import array_to_datum, datum_to_array
from pycaffe_lite.data.images import opened
from pycaffe_lite.data.pictures import Dims, resize_image
from pycaffe_lite.errors import ParseError, ShapeError
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.schema.blobs import array_to_blobproto, blobproto_to_array

__all__ = [
    "Transformer",
    "array_to_blobproto",
    "array_to_datum",
    "arraylist_to_blobprotovector_str",
    "blobproto_to_array",
    "blobprotovector_str_to_arraylist",
    "caffe_pb2",
    "datum_to_array",
    "load_image",
    "oversample",
    "resize_image",
]

_LUMINANCE = np.array([0.2125, 0.7154, 0.0721], np.float32)
"""What red, green and blue add to the brightness; scikit-image's numbers (ITU-R BT.709, rounded)."""


def arraylist_to_blobprotovector_str(arraylist: Iterable[Array]) -> bytes:
    """The bytes of a BlobProtoVector message of these arrays."""
    return caffe_pb2.BlobProtoVector(blobs=[array_to_blobproto(array) for array in arraylist]).SerializeToString()


def blobprotovector_str_to_arraylist(str: bytes) -> list[Array]:
    """The arrays in the bytes of a BlobProtoVector message; raises ParseError for other bytes."""
    try:
        vector = caffe_pb2.BlobProtoVector.FromString(str)
    except DecodeError as e:
        raise ParseError(f"The {len(str)} bytes are no BlobProtoVector: {e}") from e
    return [blobproto_to_array(blob) for blob in vector.blobs]


def load_image(filename: PathLike, color: bool = True) -> FloatArray:
    """The picture in a file, float32 from 0 to 1: (height, width, 3) RGB, or (height, width, 1) gray without `color`.

    Transparency is dropped; EXIF data do not turn it, as they do not in pycaffe. Raises MissingFileError, and DataError
    for what is no picture.
    """
    with opened(find_file(filename), f"The picture '{filename}'") as image:
        if image.mode.startswith(("I", "F")):
            pixels = np.asarray(image, np.float32)[:, :, np.newaxis]
            return _channels(pixels if image.mode == "F" else pixels / 65535, color)
        if image.mode in ("1", "L", "LA"):
            return _channels(np.asarray(image.convert("L"), np.float32)[:, :, np.newaxis] / 255, color)
        return _channels(np.asarray(image.convert("RGB"), np.float32) / 255, color)


def _channels(pixels: FloatArray, color: bool) -> FloatArray:
    """The pixels with three channels, or with one."""
    if color:
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    return pixels if pixels.shape[2] == 1 else (pixels @ _LUMINANCE)[:, :, np.newaxis]


def oversample(images: Sequence[Array] | Array, crop_dims: Dims) -> FloatArray:
    """Ten crops of each picture: the four corners, the middle, and the mirror images of these five.

    `images`: N pictures (height, width, channels) of one size; `crop_dims`: height and width of a crop. Returns
    (10 N, height, width, channels), float32. Raises ShapeError for crops larger than the pictures.
    """
    height, width = (int(d) for d in crop_dims)
    whole = np.asarray(images)
    if whole.ndim != 4:
        raise ShapeError(f"Pictures (height, width, channels) of one size are needed, not an array {whole.shape}")
    free_y, free_x = whole.shape[1] - height, whole.shape[2] - width
    if free_y < 0 or free_x < 0:
        raise ShapeError(f"Crops of {height}×{width} do not fit into pictures of {whole.shape[1]}×{whole.shape[2]}")
    corners = [(0, 0), (0, free_x), (free_y, 0), (free_y, free_x), (free_y // 2, free_x // 2)]
    crops = np.empty((len(whole), 10, height, width, whole.shape[3]), np.float32)
    for i, (y, x) in enumerate(corners):
        crops[:, i] = whole[:, y : y + height, x : x + width]
    crops[:, 5:] = crops[:, :5, :, ::-1]
    return crops.reshape(-1, height, width, whole.shape[3])
