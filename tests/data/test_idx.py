from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.idx import read_idx
from pycaffe_lite.errors import DataError, MissingFileError


def idx_bytes(array: np.ndarray, code: int, dtype: str) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.astype(dtype).tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_type_plain_and_zipped(tmp_path: Path, code: int, dtype: str, zipped: bool) -> None:
    array = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    raw = idx_bytes(array, code, dtype)
    path = tmp_path / "an.idx"
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    got = read_idx(path)
    np.testing.assert_array_equal(got, array)
    assert got.dtype == np.dtype(dtype).newbyteorder("=")
    assert got.flags.writeable


@pytest.mark.parametrize(
    ("name", "count", "first"), [("train", 60000, [5, 0, 4, 1, 9]), ("t10k", 10000, [7, 2, 1, 0, 4])]
)
def test_mnist(shared: Path, name: str, count: int, first: list[int]) -> None:
    images = read_idx(shared / "data/mnist" / f"{name}-images-idx3-ubyte.gz")
    labels = read_idx(shared / "data/mnist" / f"{name}-labels-idx1-ubyte.gz")
    assert images.shape == (count, 28, 28)
    assert labels[:5].tolist() == first
    assert images.dtype == labels.dtype == np.uint8
    assert round(float(images.mean()), 1) == (33.3 if name == "train" else 33.8)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not an idx file"),
        (b"\x89PNG\r\n\x1a\n", "not an idx file: it begins with 0x89504e47"),
        (b"\0\0\x07\x01\0\0\0\0", "not an idx file"),
        (b"\0\0\x08\x03\0\0\0\x02", "ends within its header"),
        (idx_bytes(np.zeros((2, 3)), 8, "u1")[:-1], r"2×3 numbers, which takes 18 bytes; it has 17"),
        (idx_bytes(np.zeros((2, 3)), 8, "u1") + b"!", "takes 18 bytes; it has 19"),
        (b"\0\0\x0e\x02" + b"\xff" * 8, "4294967295×4294967295"),
        (gzip.compress(bytes(1000))[:-9], "cannot be decompressed"),
        (b"\x1f\x8bnonsense", "cannot be decompressed"),
    ],
)
def test_damaged_files(tmp_path: Path, raw: bytes, says: str) -> None:
    path = tmp_path / "an.idx"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=says):
        read_idx(path)


def test_missing_file_names_its_zipped_twin(tmp_path: Path) -> None:
    (tmp_path / "train.gz").write_bytes(b"")
    with pytest.raises(MissingFileError, match=r"Did you mean '.*train\.gz'"):
        read_idx(tmp_path / "train")
    with pytest.raises(MissingFileError):
        read_idx(tmp_path / "test")
