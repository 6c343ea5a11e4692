"""Write-ahead logs: what was put and deleted since the last table was written.

record = first sequence number: 8 bytes | number of changes: 4 | changes
change = 1 (put) | key | value   or   0 (deleted) | key      each string after its length
"""

from __future__ import annotations

import struct

from pycaffe_lite.data.leveldb.coding import DELETION, VALUE, corrupt, read_bytes
from pycaffe_lite.data.leveldb.log import read_records

_HEADER = struct.Struct("<QI")

Changes = dict[bytes, tuple[int, bytes]]
"""Key -> the tag of its last change, and its value (empty where it was deleted)."""


def replay(file: str, changes: Changes) -> int:
    """Add a log's changes to `changes`; returns the last sequence number, 0 for an empty log.

    Raises DataError when the log is corrupt.
    """
    last = 0
    for record in read_records(file):
        try:
            last = _apply(record, changes)
        except (IndexError, struct.error) as e:
            raise corrupt(file, f"a batch of changes is not as long as it says ({e})") from e
        except ValueError as e:
            raise corrupt(file, str(e)) from e
    return last


def _apply(record: bytes, changes: Changes) -> int:
    first, count = _HEADER.unpack_from(record)
    at = _HEADER.size
    for sequence in range(first, first + count):
        kind = record[at]
        if kind not in (VALUE, DELETION):
            raise ValueError(f"a change is of kind {kind}, neither put nor deleted")
        key, at = read_bytes(record, at + 1)
        value = b""
        if kind == VALUE:
            value, at = read_bytes(record, at)
        changes[key] = sequence << 8 | kind, value
    if at != len(record):
        raise IndexError(f"{len(record) - at} bytes are left over")
    return int(first + count - 1)
