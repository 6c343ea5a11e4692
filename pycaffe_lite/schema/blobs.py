"""BlobProto, the message that holds an array, on the wire and off it; numbers never become Python objects.

As in Caffe, `num`, `channels`, `height`, `width` go before `shape`, and `double_data` before `data`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pycaffe_lite._files import PathLike, atomic_write, read_bytes
from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import ParseError, WeightsError
from pycaffe_lite.proto.caffe_pb2 import BlobProto
from pycaffe_lite.schema.wire import I32, I64, LEN, VARINT, Walk, WireField, put_head, put_varint, signed, varint

DATA, DIFF, SHAPE, DOUBLE_DATA, DOUBLE_DIFF = 5, 6, 7, 8, 9
_LEGACY = (1, 2, 3, 4)
_NUMBERS = {DATA: "<f4", DIFF: "<f4", DOUBLE_DATA: "<f8", DOUBLE_DIFF: "<f8"}
_WIRE = {"<f4": I32, "<f8": I64}


class BlobArrays(NamedTuple):
    """What a BlobProto holds: arrays of `shape`, or None where it holds none; views of the bytes read."""

    data: Array | None
    diff: Array | None


def read_blob(data: memoryview, start: int, stop: int, what: str) -> BlobArrays:
    """The BlobProto in these bytes; float32, or float64 if stored as double. Arrays are read-only views of `data`.

    Raises ParseError for broken bytes, WeightsError, which begins with `what`, for arrays that do not fit the shape.
    """
    dims: list[int] = []
    legacy: dict[int, int] = {}
    parts: dict[int, list[Array]] = {n: [] for n in _NUMBERS}
    fields = Walk(data, start, stop)
    for f in fields:
        if f.number in _NUMBERS:
            fields.at = _numbers(data, f, stop, parts[f.number])
        elif f.number == SHAPE and f.kind == LEN:
            for d in Walk(data, f.start, f.stop):
                dims += _dims(data, d)
        elif f.number in _LEGACY and f.kind == VARINT:
            legacy[f.number] = signed(f.value)
    shape = tuple(legacy.get(n, 0) for n in _LEGACY) if legacy else tuple(dims)
    if len(shape) > 32 or any(d < 0 for d in shape) or (0 in shape and math.prod(filter(None, shape)) >= 2**60):
        raise WeightsError(f"{what} has the impossible shape {shape}")
    return BlobArrays(
        _array(parts[DOUBLE_DATA] or parts[DATA], shape, what, "data"),
        _array(parts[DOUBLE_DIFF] or parts[DIFF], shape, what, "diff"),
    )


def _dims(data: memoryview, field: WireField) -> list[int]:
    if field.number != 1:
        return []
    if field.kind == VARINT:
        return [signed(field.value)]
    dims = []
    at = field.start
    while field.kind == LEN and at < field.stop:
        dim, at = varint(data, at, field.stop)
        dims.append(signed(dim))
    return dims


def _numbers(data: memoryview, field: WireField, stop: int, parts: list[Array]) -> int:
    """Append the numbers at `field`; where it is one of a run of unpacked ones, all of the run. Returns its end."""
    number = np.dtype(_NUMBERS[field.number])
    if field.kind == LEN:
        size = field.stop - field.start
        if size % number.itemsize:
            raise ParseError(
                f"The {size} bytes of numbers at byte {field.start} are not a multiple of {number.itemsize}"
            )
        if size:
            parts.append(np.frombuffer(data, number, size // number.itemsize, field.start))
    elif field.kind == _WIRE[_NUMBERS[field.number]]:
        tag = np.frombuffer(data[field.tag : field.start], np.uint8)
        record = np.dtype([("tag", np.uint8, tag.shape), ("value", number)])
        rest = np.frombuffer(data, record, (stop - field.tag) // record.itemsize, field.tag)
        count = 1
        look = 64  # grows, so that the work is in proportion to the run
        while count < len(rest):
            same = (rest["tag"][count : count + look] == tag).all(axis=1)
            whole = bool(same.all())
            count += len(same) if whole else int(same.argmin())
            if not whole:
                break
            look *= 2
        parts.append(rest["value"][:count])
        return field.tag + count * record.itemsize
    return field.stop


def _array(parts: list[Array], shape: Shape, what: str, name: str) -> Array | None:
    count = math.prod(shape)
    if not parts and (name == "diff" or count):
        return None
    flat = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, np.float32)
    if len(flat) != count:
        raise WeightsError(f"{what} has shape {shape}, which is {count} numbers, and {len(flat)} in its {name}")
    return flat.reshape(shape)


def blob_parts(data: Array, diff: Array | None = None, *, doubles: bool = False) -> list[bytes | memoryview]:
    """The bytes of a BlobProto, in pieces, to be written one after the other; large ones are views of the arrays.

    Numbers are stored as float, or as double if `doubles`.
    """
    kind = "<f8" if doubles else "<f4"
    dims = b"".join(put_varint(d) for d in data.shape)
    shape = put_head(1, len(dims)) + dims if dims else b""
    shape = put_head(SHAPE, len(shape)) + shape
    numbers: list[bytes | memoryview] = []
    for field, array in ((DOUBLE_DATA if doubles else DATA, data), (DOUBLE_DIFF if doubles else DIFF, diff)):
        if array is not None and array.size:
            flat = np.ascontiguousarray(array, kind).reshape(-1)
            numbers += [put_head(field, flat.nbytes), flat.data.cast("B")]
    return [shape, *numbers] if doubles else [*numbers, shape]


def array_to_blobproto(arr: Array, diff: Array | None = None) -> BlobProto:
    """A BlobProto of an array and, if given, of its diff, as floats; as pycaffe's `caffe.io.array_to_blobproto`."""
    arr = np.asarray(arr)
    diff = None if diff is None else np.asarray(diff)
    if diff is not None and diff.shape != arr.shape:
        raise WeightsError(f"The array has shape {arr.shape}, its diff {diff.shape}", hint="They must be the same.")
    return BlobProto.FromString(b"".join(blob_parts(arr, diff)))


def blobproto_to_array(blob: BlobProto, return_diff: bool = False) -> Array:
    """A new array of a BlobProto's data, or of its diff; as pycaffe's `caffe.io.blobproto_to_array`.

    Raises WeightsError if there is none, or not as many numbers as its shape says.
    """
    return _wanted(blob.SerializeToString(), "The BlobProto", return_diff)


def read_binaryproto(path: PathLike) -> Array:
    """The array in a .binaryproto file, such as an image mean; raises MissingFileError, ParseError, WeightsError."""
    try:
        return _wanted(read_bytes(path), f"The blob in {path}", False)
    except ParseError as e:
        raise ParseError(f"{path} is no BlobProto: {e.found}") from e


def write_binaryproto(path: PathLike, array: Array) -> None:
    """Write an array as .binaryproto file, atomically; raises SnapshotError."""
    with atomic_write(path) as part:
        part.write_bytes(b"".join(blob_parts(np.asarray(array))))


def _wanted(raw: bytes, what: str, return_diff: bool) -> Array:
    blob = read_blob(memoryview(raw), 0, len(raw), what)
    found = blob.diff if return_diff else blob.data
    if found is None:
        raise WeightsError(f"{what} has no {'diff' if return_diff else 'data'}")
    return np.array(found)
