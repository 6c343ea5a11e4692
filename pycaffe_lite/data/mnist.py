"""Grey images with labels as a Caffe database, as Caffe's convert_mnist_data makes it."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._files import PathLike
from pycaffe_lite._typing import Array, OnProgress
from pycaffe_lite.data.database import new_database
from pycaffe_lite.data.datum import array_to_datum
from pycaffe_lite.data.idx import read_idx
from pycaffe_lite.errors import DataError


def convert_mnist(
    images_path: PathLike,
    labels_path: PathLike,
    db_path: PathLike,
    progress: OnProgress | None = None,
    backend: str = "lmdb",
) -> int:
    """Convert MNIST's idx files (plain or gzipped) to a database; returns the number of images.

    Raises DataError when a file is not what it should be, when the two disagree in number, or when `db_path` exists;
    MissingFileError for a missing one.
    """
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataError(
            f"'{images_path}' holds no images: its array has shape {images.shape} and type {images.dtype}",
            hint="The images come first, then the labels.",
        )
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise DataError(f"'{labels_path}' holds no labels: its array has shape {labels.shape} and type {labels.dtype}")
    if len(images) != len(labels):
        raise DataError(
            f"'{images_path}' has {len(images)} images, '{labels_path}' {len(labels)} labels",
            hint="Give two files of one set: train with train, t10k with t10k.",
        )
    return write_gray_images(db_path, images, labels, progress, backend)


def write_gray_images(
    db_path: PathLike, images: Array, labels: Array, progress: OnProgress | None = None, backend: str = "lmdb"
) -> int:
    """Write (n, H, W) uint8 images and (n,) labels as Datums under the keys 00000000, 00000001, ...; returns n.

    Raises what making the database raises.
    """
    total = len(images)
    with new_database(db_path, backend) as db:
        for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            db.put(b"%08d" % index, array_to_datum(image[None], label).SerializeToString())
            if progress is not None and ((index + 1) % 1000 == 0 or index + 1 == total):
                progress(index + 1, total)
    return total
