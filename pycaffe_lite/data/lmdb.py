"""LMDB databases as Caffe keeps them: a folder with data.mdb."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from pycaffe_lite._extras import require
from pycaffe_lite._files import PathLike
from pycaffe_lite.data._database_reader import DatabaseReader
from pycaffe_lite.data._database_writer import DatabaseWriter
from pycaffe_lite.data._lmdb_environment import Environment, shared_environment
from pycaffe_lite.errors import DataError


class LMDBReader(DatabaseReader):
    """Reads an LMDB, without a lock file; readers of one database within a process share one environment.

    Raises what DatabaseReader raises, and DataError when this process has the database open otherwise.
    """

    def _open(self) -> None:
        lmdb = require("lmdb", "read an LMDB database")
        self._package_errors = (lmdb.Error,)
        self._environment: Environment | None = shared_environment(lmdb, self.path)
        self._transaction = self._environment.environment.begin()

    @property
    def total_entries(self) -> int:
        return len(self)

    def _count(self) -> int:
        return int(self._transaction.stat()["entries"])

    def _keys(self) -> Iterator[bytes]:
        return iter(self._transaction.cursor().iternext(keys=True, values=False))

    def _values(self, start: int) -> Iterator[bytes]:
        cursor = self._transaction.cursor()
        if start >= len(self):
            return iter(())
        deque(islice(cursor.iternext(keys=True, values=False), start + 1), maxlen=0)
        return iter(cursor.iternext(keys=False, values=True))

    def _close(self) -> None:
        self._transaction.abort()
        self._environment = None


class LMDBWriter(DatabaseWriter):
    """A new LMDB, written within a `with` block.

    ::

        with LMDBWriter("train_lmdb") as db:
            db.put(b"00000000", datum.SerializeToString())

    Entries are committed in batches of 1000 (as Caffe's converters do) or 64 MiB; the map starts at `map_size` bytes
    and grows as needed. Raises what DatabaseWriter raises.
    """

    _batch_entries = 1000
    _batch_bytes = 64 << 20

    def __init__(self, path: PathLike, map_size: int = 256 << 20) -> None:
        super().__init__(path)
        self._lmdb = require("lmdb", "write an LMDB database")
        self._package_errors = (self._lmdb.Error,)
        self._map_size = map_size

    def put(self, key: bytes, value: bytes) -> None:
        """Add an entry; a later one of the same key replaces it.

        Raises DataError when the key is not 1 to 511 bytes long, or the entries do not fit on the disk.
        """
        if not 1 <= len(key) <= 511:
            raise DataError(f"The key {key[:40]!r} has {len(key)} bytes; LMDB takes 1 to 511")
        super().put(key, value)

    def _start(self) -> None:
        # Nobody else knows of it yet, and on a full disk a lock file, which is mapped, would end the process (SIGBUS).
        self._environment = self._lmdb.open(self._folder, map_size=self._map_size, lock=False)

    def _write(self, entries: list[tuple[bytes, bytes]]) -> None:
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in entries:
                        transaction.put(key, value)
                return
            except self._lmdb.MapFullError:
                self._map_size *= 2
                self._environment.set_mapsize(self._map_size)

    def _finish(self) -> None:
        """Nothing: every batch was committed."""

    def _close(self) -> None:
        self._environment.close()
