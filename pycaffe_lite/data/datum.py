"""Datum messages, the values of Caffe's databases, as arrays and back."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from pycaffe_lite._extras import require
from pycaffe_lite._typing import Array
from pycaffe_lite.data.images import bgr_pixels, opened
from pycaffe_lite.errors import DataError
from pycaffe_lite.proto.caffe_pb2 import Datum


def array_to_datum(arr: Array, label: int | None = None) -> Datum:
    """A Datum of a (C, H, W) array, as pycaffe's: uint8 becomes bytes, any other number type float_data.

    Raises DataError for an array of another number of axes.
    """
    arr = np.asarray(arr)
    if arr.ndim != 3:
        raise DataError(f"A Datum holds an array of 3 axes (channels, height, width), this one has shape {arr.shape}")
    datum = Datum(channels=arr.shape[0], height=arr.shape[1], width=arr.shape[2])
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(np.float32).ravel().tolist())
    if label is not None:
        datum.label = int(label)
    return datum


def datum_to_array(datum: Datum, *, force_color: bool = False, force_gray: bool = False) -> Array:
    """The (C, H, W) array in a Datum: uint8 from bytes or from an encoded picture (BGR), float32 from float_data.

    `force_color` and `force_gray` give encoded pictures 3 or 1 channels; without them a picture keeps the channels it
    has. Raises DataError when sizes and contents disagree or a picture cannot be decoded.
    """
    if datum.encoded:
        return _decode(datum.data, force_color, force_gray)
    shape = (datum.channels, datum.height, datum.width)
    count = shape[0] * shape[1] * shape[2]
    values = np.frombuffer(datum.data, np.uint8) if datum.data else np.array(datum.float_data, np.float32)
    if values.size != count or min(shape) < 1:
        kind = "bytes" if datum.data else "floats"
        raise DataError(
            f"A Datum says that it is {shape[0]}×{shape[1]}×{shape[2]} and holds {values.size} {kind}",
            hint="If those are an encoded picture (JPEG, PNG), it must say 'encoded: true'." if datum.data else "",
        )
    return values.reshape(shape).copy()


def parse_datums(
    values: Sequence[bytes], *, force_color: bool = False, force_gray: bool = False
) -> tuple[Array | list[Array], npt.NDArray[np.int64]]:
    """Serialized Datums as images and (n,) labels.

    The images are one (n, C, H, W) uint8 array where all hold bytes of one shape (the fast path, read-only), and a
    list of (C, H, W) arrays otherwise. Raises DataError for bytes that are not a Datum, and what `datum_to_array`
    raises.
    """
    try:
        datums = [Datum.FromString(value) for value in values]
    except DecodeError as e:
        raise DataError(
            f"A value of the database is not a Datum message: {e}", hint="Caffe's converters write Datums."
        ) from e
    labels = np.fromiter((d.label for d in datums), np.int64, len(datums))
    shapes = {(d.channels, d.height, d.width, len(d.data), d.encoded) for d in datums}
    if len(shapes) == 1:
        channels, height, width, size, encoded = shapes.pop()
        if not encoded and min(channels, height, width) > 0 and size == channels * height * width:
            stacked = np.frombuffer(b"".join([d.data for d in datums]), np.uint8)
            return stacked.reshape(len(datums), channels, height, width), labels
    return [datum_to_array(d, force_color=force_color, force_gray=force_gray) for d in datums], labels


def _decode(picture: bytes, force_color: bool, force_gray: bool) -> Array:
    """A JPEG, PNG or other picture as (C, H, W) uint8, its channels in OpenCV's order: 1, BGR, or BGRA."""
    operations = require("PIL.ImageOps", "decode the pictures in a database")
    with opened(io.BytesIO(picture), f"The picture in an encoded Datum ({len(picture)} bytes)") as image:
        if force_gray:
            image.draft("L", image.size)  # a JPEG's own luminance, as OpenCV takes it
        # OpenCV turns a picture as its EXIF data say, unless it is asked for what is in the file.
        turned = operations.exif_transpose(image) if force_color or force_gray else image
        pixels = bgr_pixels(turned, "RGB" if force_color else "L" if force_gray else _MODES.get(image.mode, "RGB"))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


_MODES = {"1": "L", "L": "L", "LA": "RGBA", "RGBA": "RGBA", "PA": "RGBA"}
"""What a picture of Pillow's mode has when no channels are forced; all others are colour pictures."""
