from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.datum import parse_datums
from pycaffe_lite.data.lmdb import LMDBReader
from pycaffe_lite.data.mnist import convert_mnist
from pycaffe_lite.errors import CaffeError, DataError, MissingFileError
from pycaffe_lite.proto.caffe_pb2 import Datum


def idx(path: Path, array: np.ndarray) -> Path:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    return path


def test_entries_are_those_of_convert_mnist_data(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2100, 3, 2), dtype=np.uint8)
    labels = (np.arange(2100) % 10).astype(np.uint8)
    told: list[tuple[int, int]] = []
    n = convert_mnist(
        idx(tmp_path / "i", images), idx(tmp_path / "l", labels), tmp_path / "db", lambda *p: told.append(p)
    )
    assert n == 2100
    assert told == [(1000, 2100), (2000, 2100), (2100, 2100)]
    with LMDBReader(tmp_path / "db") as db:
        assert list(db.keys()) == [b"%08d" % i for i in range(2100)]
        values = list(db)
    first = Datum(channels=1, height=3, width=2, data=images[3].tobytes(), label=3)
    assert Datum.FromString(values[3]) == first
    assert not first.HasField("encoded")
    got_images, got_labels = parse_datums(values)
    np.testing.assert_array_equal(got_images, images[:, None])
    np.testing.assert_array_equal(got_labels, labels)


def test_the_real_ones(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/mnist"
    n = convert_mnist(folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz", tmp_path / "db")
    assert n == 10000
    with LMDBReader(tmp_path / "db") as db:
        images, labels = parse_datums(db.read(5))
    assert images.shape == (5, 1, 28, 28)
    assert labels.tolist() == [7, 2, 1, 0, 4]


def test_files_that_do_not_go_together(tmp_path: Path) -> None:
    images = idx(tmp_path / "i", np.zeros((4, 3, 2), np.uint8))
    labels = idx(tmp_path / "l", np.zeros(5, np.uint8))

    def refused(images_path: Path, labels_path: Path, error: type[CaffeError], says: str) -> None:
        with pytest.raises(error, match=says):
            convert_mnist(images_path, labels_path, tmp_path / "db")
        assert not (tmp_path / "db").exists()

    refused(images, labels, DataError, "4 images.* 5 labels")
    refused(labels, images, DataError, "holds no images")
    refused(images, images, DataError, "holds no labels")
    refused(images, tmp_path / "x", MissingFileError, "There is no file")
