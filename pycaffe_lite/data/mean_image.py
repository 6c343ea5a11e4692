"""The mean image of a database, as Caffe's compute_image_mean."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from pycaffe_lite._files import PathLike, atomic_write
from pycaffe_lite._typing import FloatArray, OnProgress, Shape
from pycaffe_lite.data.database import open_database
from pycaffe_lite.data.datum import parse_datums
from pycaffe_lite.data.pool import in_threads
from pycaffe_lite.errors import DataError, size_text
from pycaffe_lite.proto.caffe_pb2 import BlobProto

log = logging.getLogger(__name__)

_CHUNK = 100


def compute_mean_image(db_path: PathLike, backend: str | None = None, progress: OnProgress | None = None) -> FloatArray:
    """The mean over a database's images, (C, H, W) float32, summed in double precision. Encoded pictures are decoded.

    Raises DataError for images of several sizes or none, and what opening the database raises.
    """
    with open_database(db_path, backend) as db:
        total = len(db)
        sums, count = np.zeros(()), 0
        for chunk in in_threads(_sum, _chunks(iter(db))):
            for shape, part in chunk:
                if count and shape != sums.shape:
                    raise DataError(
                        f"'{db_path}' has images of {size_text(sums.shape)} and of {size_text(shape)}",
                        hint="A mean needs images of one size: convert them with --resize_height and --resize_width.",
                    )
                sums = sums + part[1]
                count += part[0]
                if progress is not None:
                    progress(count, total)
    mean: FloatArray = (sums / count).astype(np.float32)
    return mean


def write_mean_image(path: PathLike, mean: FloatArray) -> None:
    """Write a (C, H, W) mean as Caffe does: a BlobProto of num 1, channels, height, width. Raises SnapshotError."""
    channels, height, width = mean.shape
    blob = BlobProto(num=1, channels=channels, height=height, width=width, data=mean.ravel().tolist())
    with atomic_write(path) as part:
        part.write_bytes(blob.SerializeToString())


def _chunks(values: Iterator[bytes]) -> Iterator[list[bytes]]:
    while chunk := list(islice(values, _CHUNK)):
        yield chunk


def _sum(values: Sequence[bytes]) -> list[tuple[Shape, tuple[int, FloatArray]]]:
    """Runs of images of one shape: the shape, how many, and their sum in double precision."""
    images, _ = parse_datums(values)
    if isinstance(images, np.ndarray):
        return [(images.shape[1:], (len(images), images.sum(0, np.float64)))]
    return [(image.shape, (1, image.astype(np.float64))) for image in images]
