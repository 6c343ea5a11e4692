"""The idx files that MNIST comes in.

A file is a header (two zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit
integer) and then the numbers, row-major and big-endian: http://yann.lecun.com/exdb/mnist. gzip-compressed files are
read as well.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib

import numpy as np

from pycaffe_lite._files import PathLike, read_bytes
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import DataError, MissingFileError, size_text

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: PathLike) -> Array:
    """The array in an idx file, in this machine's byte order: (n, 28, 28) uint8 for MNIST's images, (n,) for its
    labels.

    Raises MissingFileError when there is no such file, DataError when its magic number, dimensions or length are
    wrong, CaffeError when it cannot be read.
    """
    path = os.fspath(path)
    raw = _read(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES or raw[3] == 0:
        raise DataError(
            f"'{path}' is not an idx file: it begins with 0x{raw[:4].hex()}",
            hint="MNIST's image files begin with 0x00000803, its label files with 0x00000801.",
        )
    dtype, start = np.dtype(_TYPES[raw[2]]), 4 + 4 * raw[3]
    if len(raw) < start:
        raise DataError(f"'{path}' ends within its header, after {len(raw)} bytes", hint=_FETCH_AGAIN)
    shape = tuple(int(d) for d in np.frombuffer(raw, ">u4", count=raw[3], offset=4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        size = size_text(shape)
        raise DataError(
            f"'{path}' says that it holds {size} numbers, which takes {expected} bytes; it has {len(raw)}",
            hint=_FETCH_AGAIN,
        )
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


_FETCH_AGAIN = "It was probably cut off on its way here: fetch it again."


def _read(path: str) -> bytes:
    if not os.path.exists(path):
        other = path[:-3] if path.endswith(".gz") else path + ".gz"
        raise MissingFileError(
            f"There is no file '{path}'", hint=f"Did you mean '{other}'?" if os.path.isfile(other) else ""
        )
    raw = read_bytes(path)
    if not raw.startswith(_GZIP_MAGIC):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as e:
        raise DataError(f"'{path}' cannot be decompressed: {e}", hint=_FETCH_AGAIN) from e
