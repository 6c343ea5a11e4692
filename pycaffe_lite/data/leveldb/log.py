"""Logs: records in blocks of 32 KiB, each in one or more fragments.

fragment = masked CRC-32C of (kind, data): 4 bytes | length: 2 | kind: 1 | data
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from pycaffe_lite.data.leveldb.coding import checksum, corrupt

_log = logging.getLogger(__name__)

BLOCK = 32768
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_records(file: str) -> Iterator[bytes]:
    """The records of a log.

    A last record that was not written to its end, as a writer that was killed leaves it, is left out, as LevelDB does,
    with a warning. Raises DataError for anything else that is wrong (LevelDB leaves that out, too, and goes on).
    """
    masked = checksum()
    whole = 0  # where the last complete record ends
    parts: list[bytes] = []
    with open(file, "rb") as stream:
        for start, block in _blocks(stream):
            at = 0
            while at + _HEADER.size <= len(block):
                crc, length, kind = _HEADER.unpack_from(block, at)
                end = at + _HEADER.size + length
                if crc == length == kind == 0 and _all_zeros(block[at:], stream):
                    break  # space that was set aside and never written
                if end > len(block):
                    if len(block) < BLOCK:
                        break
                    raise corrupt(file, f"the record at byte {start + at} is longer than its block")
                if masked(block[at + 6 : end]) != crc:
                    raise corrupt(file, f"the checksum of the record at byte {start + at} is wrong")
                if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or (kind in (_MIDDLE, _LAST)) != bool(parts):
                    raise corrupt(file, f"the record at byte {start + at} does not follow the one before")
                parts.append(block[at + _HEADER.size : end])
                at = end
                if kind in (_FULL, _LAST):
                    yield b"".join(parts)
                    parts.clear()
                    whole = start + at
            padding = len(block) == BLOCK and BLOCK - at < _HEADER.size
            if at < len(block) and not padding:
                parts.append(block[at:])
                break
    if parts:
        _log.warning(
            "The last record of '%s' is cut off after %d bytes: it is left out, as LevelDB does. "
            "If the file was copied, copy it again.",
            file,
            os.path.getsize(file) - whole,
        )


def _blocks(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    start = 0
    while block := stream.read(BLOCK):
        yield start, block
        start += len(block)


def _all_zeros(rest: bytes, stream: BinaryIO) -> bool:
    """Whether nothing but zeros is left: the stream is read to its end, or put back."""
    here = stream.tell()
    while not any(rest):
        rest = stream.read(1 << 20)
        if not rest:
            return True
    stream.seek(here)
    return False


def append_record(stream: BinaryIO, record: bytes) -> None:
    """Write a record; `stream` is a log of which nothing but this function has written."""
    masked = checksum()
    at, first = 0, True
    while first or at < len(record):
        room = BLOCK - stream.tell() % BLOCK
        if room < _HEADER.size:
            stream.write(bytes(room))
            continue
        data = record[at : at + room - _HEADER.size]
        at += len(data)
        last = at == len(record)
        kind = (_FULL if last else _FIRST) if first else (_LAST if last else _MIDDLE)
        stream.write(_HEADER.pack(masked(bytes([kind]) + data), len(data), kind) + data)
        first = False
