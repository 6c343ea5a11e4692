"""Image files and lists of them: pictures as OpenCV hands them to Caffe, decoded by Pillow."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pycaffe_lite._extras import require
from pycaffe_lite._files import find_file, read_bytes
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import DataError, MissingFileError, Position
from pycaffe_lite.memory import check_memory

_PURPOSE = "read image files"


def read_image(path: str, *, color: bool = True) -> Array:
    """The picture in a file as (C, H, W) uint8: 3 channels in the order BGR, or 1 without `color`.

    Raises MissingFileError, and DataError for what `decode_image` cannot decode.
    """
    return decode_image(read_bytes(path), path, color=color)


def decode_image(picture: bytes, name: str, *, color: bool = True) -> Array:
    """An encoded picture (JPEG, PNG, ...) as (C, H, W) uint8: 3 channels in the order BGR, or 1 without `color`.

    It is turned as its EXIF data say, transparency is dropped, and without `color` a JPEG gives its own luminance: all
    as OpenCV 3.1 and later. Raises DataError, with `name`, for bytes that are no picture of 8-bit channels.
    """
    operations = require("PIL.ImageOps", _PURPOSE)
    with opened(io.BytesIO(picture), f"The picture '{name}'") as image:
        if not color:
            image.draft("L", image.size)
        pixels = bgr_pixels(operations.exif_transpose(image), "RGB" if color else "L")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def opened(file: str | IO[bytes], what: str) -> Iterator[Any]:
    """Pillow's picture of a file, to be decoded. Raises DataError, of `what`, where that fails."""
    image_module = require("PIL.Image", _PURPOSE)
    try:
        with image_module.open(file) as image:
            yield image
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as e:
        unknown = type(e).__name__ == "UnidentifiedImageError"  # whose text has a memory address
        why = "it is in no format that Pillow knows, or broken" if unknown else str(e)
        raise DataError(f"{what} cannot be decoded: {why}") from e


def bgr_pixels(image: Any, mode: str) -> Array:
    """A Pillow image as (H, W, C) uint8, converted to a mode of Pillow's, channels in OpenCV's order.

    Raises ValueError for pixels of more than 8 bits.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"its pixels are not 8-bit numbers (Pillow's mode {image.mode})")
    pixels: Array = np.asarray(image.convert(mode))
    if mode == "L":
        return pixels[:, :, None]
    return pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]


def resize_image(image: Array, height: int, width: int) -> Array:
    """An image (C, H, W) of uint8 as (C, height, width), interpolated as OpenCV's INTER_LINEAR.

    Output pixel x looks at (x + ½) · W / width - ½ and mixes the two nearest pixels, however much smaller the image
    becomes; Pillow's own `resize` averages then, which differs by up to a quarter of the range. Pillow cuts off the
    fraction where OpenCV rounds: values are OpenCV's or one less. Raises MemoryLimitError.
    """
    if image.shape[1:] == (height, width):
        return image
    check_memory(2 * len(image) * height * width, f"Resizing a picture to {height}×{width}")
    return np.stack([stretched(np.ascontiguousarray(channel), height, width) for channel in image])


def stretched(channel: Array, height: int, width: int, resampling: str = "BILINEAR") -> Array:
    """A channel (H, W), contiguous, as (height, width): each pixel from those around its middle, nothing averaged.

    `resampling` is one of Pillow's NEAREST, BILINEAR and BICUBIC.
    """
    module = require("PIL.Image", "resize images")
    whole, method = (0, 0, channel.shape[1], channel.shape[0]), getattr(module.Resampling, resampling)
    return np.asarray(module.fromarray(channel).transform((width, height), module.Transform.EXTENT, whole, method))


def locate(root_folder: str, path: str) -> str:
    """Where a list's file lies: `root_folder` and `path` joined as they stand (Caffe's way), or else by a slash.

    Raises MissingFileError.
    """
    whole = root_folder + path
    beneath = os.path.join(root_folder, path)
    return find_file(beneath if not os.path.isfile(whole) and os.path.isfile(beneath) else whole)


def read_image_list(source: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The paths and (n,) labels in a text file of lines "path label"; a path may contain spaces.

    Raises MissingFileError for the file, DataError for a line that is not so and for a file without lines.
    """
    paths, labels = [], []
    for number, line in _lines(source):
        parts = line.rsplit(None, 1)
        try:
            path, label = parts
            labels.append(int(label))
            if abs(labels[-1]) >= 2**31:  # more than a Datum holds
                raise ValueError
        except ValueError as e:
            raise DataError(
                f"Line {number} of '{source}' is {line.strip()!r}", hint="It should be: path, a space, a whole number."
            ) from e
        paths.append(path.strip())
    if not paths:
        raise DataError(f"'{source}' lists no images", hint="Write lines of: path, a space, a whole number.")
    return paths, np.array(labels, np.int64)


def listed_at(source: str, index: int) -> Position:
    """The line of a list that `read_image_list` made entry `index` of."""
    return Position(source, _lines(source)[index][0], 1)


@contextmanager
def of_list(source: str, index: int) -> Iterator[None]:
    """Errors of a picture's file from within the block get their place in the list."""
    try:
        yield
    except (MissingFileError, DataError) as e:
        raise e.at(position=listed_at(source, index)) from e.__cause__


def _lines(source: str) -> list[tuple[int, str]]:
    """The lines that are not blank, and their numbers."""
    text = read_bytes(find_file(source)).decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
