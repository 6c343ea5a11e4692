"""MANIFEST: a log of edits, each a series of tagged fields; together they say what belongs to the database."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from pycaffe_lite.data.leveldb.coding import corrupt, read_bytes, read_varint, varint, with_length
from pycaffe_lite.data.leveldb.log import read_records
from pycaffe_lite.errors import DataError

COMPARATOR = b"leveldb.BytewiseComparator"
_COMPARATOR, _LOG, _NEXT_FILE, _LAST_SEQUENCE, _COMPACTED, _REMOVED, _ADDED, _PREVIOUS_LOG = 1, 2, 3, 4, 5, 6, 7, 9


class TableFile(NamedTuple):
    """What the manifest says of a table: its number, its size in bytes, its first and last (internal) key."""

    number: int
    size: int
    smallest: bytes
    largest: bytes


@dataclass
class Version:
    """What belongs to a database: tables by (level, number), and the logs from number `log` on."""

    tables: dict[tuple[int, int], TableFile] = field(default_factory=dict)
    log: int = 0
    previous_log: int = 0
    next_file: int = 0
    last_sequence: int = 0

    def edit(self) -> bytes:
        """The edit that makes an empty version this one."""
        fields = [varint(_COMPARATOR), with_length(COMPARATOR)]
        for tag, number in (
            (_LOG, self.log),
            (_PREVIOUS_LOG, self.previous_log),
            (_NEXT_FILE, self.next_file),
            (_LAST_SEQUENCE, self.last_sequence),
        ):
            fields += [varint(tag), varint(number)]
        for (level, _), table in self.tables.items():
            fields += [varint(_ADDED), varint(level), varint(table.number), varint(table.size)]
            fields += [with_length(table.smallest), with_length(table.largest)]
        return b"".join(fields)

    def apply(self, edit: bytes) -> None:
        """Raises IndexError where the edit ends too early, ValueError when it says what cannot be."""
        at = 0
        while at < len(edit):
            tag, at = read_varint(edit, at)
            if tag == _COMPARATOR:
                name, at = read_bytes(edit, at)
                if name != COMPARATOR:
                    raise ValueError(f"keys are in the order of {name.decode(errors='replace')!r}, not of their bytes")
            elif tag == _LOG:
                self.log, at = read_varint(edit, at)
            elif tag == _PREVIOUS_LOG:
                self.previous_log, at = read_varint(edit, at)
            elif tag == _NEXT_FILE:
                self.next_file, at = read_varint(edit, at)
            elif tag == _LAST_SEQUENCE:
                self.last_sequence, at = read_varint(edit, at)
            elif tag == _COMPACTED:
                _, at = read_varint(edit, at)
                _, at = read_bytes(edit, at)
            elif tag == _REMOVED:
                level, at = read_varint(edit, at)
                number, at = read_varint(edit, at)
                self.tables.pop((level, number), None)
            elif tag == _ADDED:
                level, at = read_varint(edit, at)
                number, at = read_varint(edit, at)
                size, at = read_varint(edit, at)
                smallest, at = read_bytes(edit, at)
                largest, at = read_bytes(edit, at)
                self.tables[level, number] = TableFile(number, size, smallest, largest)
            else:
                raise ValueError(f"an edit has a field {tag}, which LevelDB does not write (RocksDB does)")


def current_version(folder: str) -> Version:
    """What the manifest that CURRENT names says. Raises DataError when either is missing or corrupt."""
    current = os.path.join(folder, "CURRENT")
    with open(current, "rb") as f:
        name = f.read(1000)
    if not (name.startswith(b"MANIFEST-") and name.endswith(b"\n") and name[9:-1].isdigit()):
        raise corrupt(current, f"it says {name[:40]!r}, not which MANIFEST there is")
    manifest = os.path.join(folder, name[:-1].decode("ascii"))
    if not os.path.isfile(manifest):
        raise corrupt(current, f"it names '{os.path.basename(manifest)}', which is missing")
    version = Version()
    empty = True
    for edit in read_records(manifest):
        empty = False
        try:
            version.apply(edit)
        except IndexError as e:
            raise corrupt(manifest, f"an edit ends too early ({e})") from e
        except ValueError as e:
            raise DataError(f"The database '{folder}' cannot be read: {e}") from e
    if empty:
        raise corrupt(manifest, "it holds no edits")
    return version
