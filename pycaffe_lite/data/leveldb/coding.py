"""Numbers, byte strings and checksums as LevelDB's files hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pycaffe_lite._extras import require
from pycaffe_lite.data._database_reader import FETCH_AGAIN
from pycaffe_lite.errors import DataError

DELETION, VALUE = 0, 1
"""The kind of an entry: what the last byte of its tag (sequence << 8 | kind) says."""


def corrupt(file: str, what: str) -> DataError:
    return DataError(f"The database file '{file}' is corrupt: {what}", hint=FETCH_AGAIN)


def checksum() -> Callable[[bytes], int]:
    """The function that computes a block's or record's masked CRC-32C.

    Files that hold checksums hold them masked, so that the checksum of such a file's part is not a trivial one.
    """
    crc32c = cast("Callable[[bytes], int]", require("google_crc32c", "read or write a LevelDB database").value)

    def masked(data: bytes) -> int:
        crc = crc32c(data)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    return masked


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and the position behind it. IndexError where data end."""
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def varint(number: int) -> bytes:
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """A byte string after its length, and the position behind it. IndexError where data end."""
    length, position = read_varint(data, position)
    end = position + length
    if end > len(data):
        raise IndexError("a string is longer than what is left")
    return data[position:end], end


def with_length(data: bytes) -> bytes:
    return varint(len(data)) + data


def internal_key(key: bytes, tag: int) -> bytes:
    """As tables and manifests hold keys: the user's, then the tag."""
    return key + tag.to_bytes(8, "little")
