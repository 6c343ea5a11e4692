"""Reading a LevelDB database as it is on disk, without changing it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import chain, islice

from pycaffe_lite.data._backends import check_backend
from pycaffe_lite.data._database_reader import FETCH_AGAIN, DatabaseReader
from pycaffe_lite.data.leveldb.batch import Changes, replay
from pycaffe_lite.data.leveldb.coding import checksum
from pycaffe_lite.data.leveldb.manifest import TableFile, Version, current_version
from pycaffe_lite.data.leveldb.merge import newest, runs
from pycaffe_lite.data.leveldb.table import Entry, read_table
from pycaffe_lite.errors import DataError

_FILE = re.compile(r"(\d+)\.(log|ldb|sst)")


class LevelDBReader(DatabaseReader):
    """Reads a LevelDB: its tables block by block, its write-ahead logs (up to 256 MB as Caffe writes them) into memory.

    Nothing is locked: another process must not write the database meanwhile. What a killed writer left unfinished at a
    log's end is left out with a warning, as LevelDB does; whatever else is wrong is an error. Entries are counted when
    `len` is first asked for, by reading them all, or by the first pass. Raises what DatabaseReader raises.
    """

    _package_errors = (OSError,)

    def _open(self) -> None:
        check_backend(self.path, "leveldb")
        checksum()  # a missing package is said first
        try:
            version = current_version(self.path)
            tables, logs = self._files(version)
            changes: Changes = {}
            sequence = version.last_sequence
            for log in logs:
                sequence = max(sequence, replay(log, changes))
        except OSError as e:
            raise DataError(f"The database '{self.path}' cannot be read: {e}", hint=FETCH_AGAIN) from e
        self._written = sequence
        self._tables = tables
        self._runs = runs(version.tables.values())
        self._changes: list[Entry] = sorted((key, -tag, value) for key, (tag, value) in changes.items())

    @property
    def total_entries(self) -> int:
        """How many times entries were put or deleted."""
        return self._written

    def _files(self, version: Version) -> tuple[dict[int, str], list[str]]:
        """The tables' paths by number, checked against what the manifest says of them, and the logs' in order."""
        tables: dict[int, str] = {}
        logs: dict[int, str] = {}
        for name in os.listdir(self.path):
            if match := _FILE.fullmatch(name):
                (logs if match[2] == "log" else tables)[int(match[1])] = os.path.join(self.path, name)
        for table in version.tables.values():
            if table.number not in tables:
                raise DataError(
                    f"The database '{self.path}' is not complete: table {table.number:06}.ldb is missing",
                    hint=FETCH_AGAIN,
                )
            size = os.path.getsize(tables[table.number])
            if size < table.size:
                raise DataError(
                    f"The database '{self.path}' is cut off: {os.path.basename(tables[table.number])} has {size} "
                    f"bytes, it should have {table.size}",
                    hint=FETCH_AGAIN,
                )
        return tables, [logs[n] for n in sorted(logs) if n >= version.log or n == version.previous_log]

    def _entries(self) -> Iterator[tuple[bytes, bytes]]:
        sources: list[Iterator[Entry]] = [self._run(run) for run in self._runs]
        if self._changes or not sources:
            sources.append(iter(self._changes))
        return newest(sources)

    def _run(self, tables: list[TableFile]) -> Iterator[Entry]:
        return chain.from_iterable(read_table(self._tables[t.number], t.size) for t in tables)

    def _count(self) -> int:
        return sum(1 for _ in self._entries())

    def _keys(self) -> Iterator[bytes]:
        return (key for key, _ in self._entries())

    def _values(self, start: int) -> Iterator[bytes]:
        return (value for _, value in islice(self._entries(), start, None))

    def _close(self) -> None:
        self._changes = []
