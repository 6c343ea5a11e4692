"""Writing a new LevelDB database."""

from __future__ import annotations

import os

from pycaffe_lite._files import PathLike
from pycaffe_lite.data._database_writer import DatabaseWriter
from pycaffe_lite.data.leveldb.coding import VALUE, checksum, internal_key
from pycaffe_lite.data.leveldb.log import append_record
from pycaffe_lite.data.leveldb.manifest import TableFile, Version
from pycaffe_lite.data.leveldb.table import write_table

_BOTTOM = 6
"""The last level: tables there follow each other in key order, and LevelDB never rewrites them for being many."""

_MANIFEST = 1


class LevelDBWriter(DatabaseWriter):
    """A new LevelDB, written within a `with` block.

    ::

        with LevelDBWriter("train_leveldb") as db:
            db.put(b"00000000", datum.SerializeToString())

    Every 32 MiB of entries become an uncompressed table. Where keys come in ascending order, as all of Caffe's
    converters write them, the tables lie on LevelDB's last level and are read one after the other; other ones go to
    level 0, where tables may overlap. The file CURRENT, which makes the folder a database, is written last. Raises what
    DatabaseWriter raises.
    """

    _batch_entries = 1 << 18
    _batch_bytes = 32 << 20

    def __init__(self, path: PathLike) -> None:
        super().__init__(path)
        checksum()  # a missing package is said before there is a folder
        self._largest: bytes | None = None

    def _start(self) -> None:
        self._version = Version(next_file=_MANIFEST + 1)

    def _write(self, entries: list[tuple[bytes, bytes]]) -> None:
        if not entries:
            return
        version = self._version
        newest: dict[bytes, tuple[int, bytes]] = {}
        for key, value in entries:
            version.last_sequence += 1
            newest[key] = version.last_sequence << 8 | VALUE, value
        rows = [(internal_key(key, tag), value) for key, (tag, value) in sorted(newest.items())]
        number = version.next_file
        version.next_file += 1
        size = write_table(os.path.join(self._folder, f"{number:06}.ldb"), rows)
        smallest, largest = min(newest), max(newest)
        level = _BOTTOM if self._largest is None or smallest > self._largest else 0
        self._largest = max(largest, self._largest or b"")
        version.tables[level, number] = TableFile(number, size, rows[0][0], rows[-1][0])

    def _close(self) -> None:
        """Nothing: every file was closed when it was written."""

    def _finish(self) -> None:
        self._version.log = self._version.next_file  # the number of a log that LevelDB may begin
        self._version.next_file += 1
        name = f"MANIFEST-{_MANIFEST:06}"
        with open(os.path.join(self._folder, name), "xb") as stream:
            append_record(stream, self._version.edit())
            stream.flush()
            os.fsync(stream.fileno())
        with open(os.path.join(self._folder, "CURRENT"), "x", newline="\n") as current:
            current.write(f"{name}\n")
