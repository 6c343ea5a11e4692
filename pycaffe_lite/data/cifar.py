"""CIFAR-10's binary files as Caffe databases, as Caffe's convert_cifar_data makes them.

A file is a run of records: a byte that is the label, and a picture's 32×32 red, then green, then blue bytes
(https://www.cs.toronto.edu/~kriz/cifar.html).
"""

from __future__ import annotations

import os

import numpy as np

from pycaffe_lite._files import PathLike, read_bytes
from pycaffe_lite._typing import Array, OnProgress
from pycaffe_lite.data.database import new_database
from pycaffe_lite.data.datum import array_to_datum
from pycaffe_lite.errors import DataError

TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32


def read_cifar(path: PathLike) -> tuple[Array, Array]:
    """The pictures (n, 3, 32, 32) uint8, channels red, green, blue, and labels (n,) in one of CIFAR-10's files.

    Raises MissingFileError, and DataError for a file that is no run of its records.
    """
    raw = np.frombuffer(read_bytes(path), np.uint8)
    if not raw.size or raw.size % _RECORD or (raw[::_RECORD] > 9).any():
        raise DataError(
            f"'{os.fspath(path)}' is no file of CIFAR-10: it has {raw.size} bytes, "
            f"which should be records of {_RECORD} that begin with a label from 0 to 9",
            hint="Take the binary version, cifar-10-binary.tar.gz, and unpack it.",
        )
    records = raw.reshape(-1, _RECORD)
    return records[:, 1:].reshape(-1, *_SHAPE), records[:, 0]


def convert_cifar(
    input_folder: PathLike, output_folder: PathLike, backend: str = "lmdb", progress: OnProgress | None = None
) -> tuple[str, str]:
    """Convert the files of CIFAR-10 in a folder to cifar10_train_BACKEND and cifar10_test_BACKEND in another.

    The keys are 00000, 00001, ...; the channels stay red, green, blue, as in Caffe. Returns the databases' paths.
    Raises DataError where one is there already, and what `read_cifar` raises.
    """
    sets = {
        os.path.join(output_folder, f"cifar10_{name}_{backend}"): [
            read_cifar(os.path.join(input_folder, file)) for file in files
        ]
        for name, files in (("train", TRAIN_FILES), ("test", TEST_FILES))
    }
    total = sum(len(labels) for files in sets.values() for _, labels in files)
    done = 0
    for database, files in sets.items():
        with new_database(database, backend) as db:
            images, labels = (np.concatenate(part) for part in zip(*files, strict=True))
            for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
                db.put(b"%05d" % index, array_to_datum(image, label).SerializeToString())
                done += 1
                if progress is not None and done % 1000 == 0:
                    progress(done, total)
    train, test = sets
    return train, test
