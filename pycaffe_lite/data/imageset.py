"""Image files named in a list as a Caffe database, as Caffe's convert_imageset makes it."""

from __future__ import annotations

import io
import logging
import os
from dataclasses import dataclass

import numpy as np

from pycaffe_lite._extras import require
from pycaffe_lite._files import PathLike, read_bytes
from pycaffe_lite._typing import Array, OnProgress, Shape
from pycaffe_lite.data.database import new_database
from pycaffe_lite.data.datum import array_to_datum
from pycaffe_lite.data.images import decode_image, listed_at, locate, of_list, read_image_list, resize_image
from pycaffe_lite.data.pool import in_threads
from pycaffe_lite.errors import CaffeError, DataError, MissingFileError, ParameterError, size_text
from pycaffe_lite.proto.caffe_pb2 import Datum

log = logging.getLogger(__name__)

_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF", "tiff": "TIFF"}
_JPEG_QUALITY = 95
"""OpenCV's."""
_MOST_BYTES = 2**31
"""Messages of protobuf's are smaller."""


@dataclass(frozen=True)
class Conversion:
    """What becomes of each picture: `gray` or BGR, resized to `height` × `width` unless these are 0, and as pixels or,
    with `encoded`, as a picture file in the format `encode_type` ("jpg", "png", ...; '' for the file's own).

    Raises ParameterError for one size without the other, for a size beyond a Datum's, and for a format that cannot be
    written.
    """

    gray: bool = False
    height: int = 0
    width: int = 0
    encoded: bool = False
    encode_type: str = ""

    def __post_init__(self) -> None:
        if bool(self.height) != bool(self.width) or min(self.height, self.width) < 0:
            raise ParameterError(
                f"resize_height is {self.height} and resize_width is {self.width}", hint="Give both, or neither."
            )
        if not self.encoded and self.height * self.width * (1 if self.gray else 3) >= _MOST_BYTES:
            raise ParameterError(
                f"resize_height is {self.height} and resize_width is {self.width}: a Datum holds less than 2 GiB",
                hint="Is a size mistyped?",
            )
        if self.encode_type and self.encode_type.lower().lstrip(".") not in _FORMATS:
            raise ParameterError(
                f"encode_type is '{self.encode_type}'", hint=f"It must be one of {', '.join(_FORMATS)}."
            )

    def datum(self, path: str, label: int) -> tuple[Datum, Shape]:
        """The picture in a file, converted, and its shape (C, H, W). A file to be encoded as it is already is copied.

        Raises MissingFileError, and DataError for what cannot be decoded or encoded.
        """
        raw = read_bytes(path)
        image = decode_image(raw, path, color=not self.gray)
        if self.height:
            image = resize_image(image, self.height, self.width)
        if not self.encoded:
            return array_to_datum(image, label), image.shape
        own = os.path.splitext(path)[1].lower().lstrip(".")
        kind = _FORMATS.get(self.encode_type.lower().lstrip(".") or own)
        if kind is None:
            raise DataError(f"'{path}' has no ending that says how to encode it", hint="Give --encode_type.")
        if self.height or self.gray or _FORMATS.get(own) != kind:
            raw = _encode(image, kind)
        return Datum(data=raw, label=label, encoded=True), image.shape


def _encode(image: Array, kind: str) -> bytes:
    """A picture (C, H, W), gray or BGR, as a file's bytes."""
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image[::-1].transpose(1, 2, 0))
    file = io.BytesIO()
    options = {"quality": _JPEG_QUALITY} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    require("PIL.Image", "write image files").fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def convert_imageset(
    root_folder: str,
    list_file: str,
    db_path: PathLike,
    conversion: Conversion = Conversion(),  # noqa: B008  immutable
    *,
    backend: str = "lmdb",
    shuffle: np.random.Generator | None = None,
    check_size: bool = False,
    skip_unreadable: bool = False,
    progress: OnProgress | None = None,
) -> int:
    """Write the pictures that a list of lines "path label" names, under the keys 00000000_path, ...; returns how many.

    They come in the list's order, or in one that `shuffle` draws. `check_size` refuses a picture of another size than
    the first. With `skip_unreadable` pictures that are missing or broken are logged as errors and left out.

    Raises DataError and MissingFileError, with file and line of the list, for pictures that cannot be used, what
    `read_image_list` raises, and what making the database raises; nothing is left behind then.
    """
    paths, labels = read_image_list(list_file)
    order = np.arange(len(paths)) if shuffle is None else shuffle.permutation(len(paths))

    def convert(index: int) -> tuple[Datum, Shape] | CaffeError:
        try:
            with of_list(list_file, index):
                return conversion.datum(locate(root_folder, paths[index]), int(labels[index]))
        except (MissingFileError, DataError) as e:
            return e

    count = 0
    first: tuple[str, Shape] | None = None
    with new_database(db_path, backend) as db:
        for number, (index, result) in enumerate(zip(order, in_threads(convert, order), strict=True)):
            if isinstance(result, CaffeError):
                if not skip_unreadable:
                    result.hint = f"{result.hint} --skip_unreadable leaves such pictures out.".strip()
                    raise result
                log.error("%s", result)
                continue
            path = paths[index]
            datum, shape = result
            first = first or (path, shape)
            if check_size and shape != first[1]:
                raise DataError(
                    f"'{path}' is {size_text(shape)}, '{first[0]}' before it {size_text(first[1])}",
                    hint="Give --resize_height and --resize_width, or leave out --check_size.",
                    position=listed_at(list_file, index),
                )
            db.put(b"%08d_%s" % (number, os.fsencode(path)), datum.SerializeToString())
            count += 1
            if progress is not None:
                progress(number + 1, len(paths))
        if not count:
            raise DataError(f"None of the {len(paths)} pictures of '{list_file}' can be read")
    return count
