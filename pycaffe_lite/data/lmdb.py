"""LMDB databases as Caffe keeps them: a folder with data.mdb, whose values are read in the order of their keys."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from collections.abc import Iterator
from itertools import islice

from pycaffe_lite._extras import require
from pycaffe_lite.data._lmdb_environment import FETCH_AGAIN, Environment, shared_environment
from pycaffe_lite.errors import DataError, MissingFileError

_log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

_BATCH_ENTRIES = 1000
_BATCH_BYTES = 64 << 20


class LMDBReader:
    """Reads values one after the other, in key order, from the start again after the last.

    The database is opened read-only and without a lock file, so that it may lie in a folder nobody can write to;
    readers of one database within a process share one environment. A reader is for one thread at a time. It closes
    itself when collected.

    Raises MissingFileError when there is no such folder, DataError when it holds no LMDB, one that is cut off,
    corrupt or empty, or one that this process has open otherwise.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = os.fspath(path)
        self._lmdb = require("lmdb", "read an LMDB database")
        self._environment: Environment | None = shared_environment(self._lmdb, self.path)
        with self._reading():
            self._transaction = self._environment.environment.begin()
            self._length = int(self._transaction.stat()["entries"])
        if not self._length:
            self.close()
            raise DataError(f"The database '{self.path}' is empty", hint="Convert the data again.")
        self._position: int
        self.position = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """All values once, from the first; `position` stays where it is."""
        with self._reading():
            yield from self._transaction.cursor().iternext(keys=False, values=True)

    def keys(self) -> Iterator[bytes]:
        """All keys, in order."""
        with self._reading():
            yield from self._transaction.cursor().iternext(keys=True, values=False)

    @property
    def position(self) -> int:
        """Index of the value that `read` returns next. Setting it walks the keys up to there."""
        return self._position

    @position.setter
    def position(self, index: int) -> None:
        if not 0 <= index < self._length:
            raise DataError(
                f"The database '{self.path}' has no entry {index}: it has {self._length}",
                hint="It is not the database that the position was taken from.",
            )
        with self._reading():
            cursor = self._transaction.cursor()
            deque(islice(cursor.iternext(keys=True, values=False), index + 1), maxlen=0)
            self._values: Iterator[bytes] = cursor.iternext(keys=False, values=True)
        self._position = index

    def read(self, n: int) -> list[bytes]:
        """The next `n` values. After the last value it goes on with the first, and logs that.

        Raises DataError when the database turns out to be corrupt.
        """
        read: list[bytes] = []
        while len(read) < n:
            wanted = min(n - len(read), self._length - self._position)
            with self._reading():
                values = list(islice(self._values, wanted))
            if len(values) < wanted:
                raise DataError(f"The database '{self.path}' has fewer entries than it says", hint=FETCH_AGAIN)
            read += values
            self._position += wanted
            if self._position == self._length:
                _log.info("Restarting data prefetching from start.")
                self.position = 0
        return read

    def close(self) -> None:
        """Give the database back. May be repeated."""
        if self._environment is not None:
            self._transaction.abort()
            self._environment = None

    def __enter__(self) -> LMDBReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except self._lmdb.Error as e:
            if self._environment is None:
                raise DataError(f"The database '{self.path}' was read after it had been closed") from e
            raise DataError(f"The database '{self.path}' is corrupt: {e}", hint=FETCH_AGAIN) from e


class LMDBWriter:
    """A new database, written within a `with` block.

    ::

        with LMDBWriter("train_lmdb") as db:
            db.put(b"00000000", datum.SerializeToString())

    Entries are committed in batches of 1000 (as Caffe's converters do) or 64 MiB; the map starts at `map_size` bytes
    and grows as needed. When the block ends by an exception, nothing is left behind.

    Raises DataError when something exists at `path` already (Caffe's mode NEW), MissingFileError when the folder it
    should lie in does not.
    """

    def __init__(self, path: StrPath, map_size: int = 256 << 20) -> None:
        self.path = os.fspath(path)
        self._lmdb = require("lmdb", "write an LMDB database")
        self._map_size = map_size
        self._pending: list[tuple[bytes, bytes]] = []
        self._pending_bytes = 0

    def __enter__(self) -> LMDBWriter:
        try:
            os.mkdir(self.path)
        except FileExistsError as e:
            raise DataError(
                f"'{self.path}' exists already", hint="Remove it first or give another name; nothing is overwritten."
            ) from e
        except FileNotFoundError as e:
            raise MissingFileError(
                f"There is no folder to make '{self.path}' in", hint="Make that folder first."
            ) from e
        except OSError as e:
            raise DataError(f"The folder '{self.path}' cannot be made: {e.strerror}") from e
        try:
            self._environment = self._lmdb.open(self.path, map_size=self._map_size)
        except self._lmdb.Error as e:
            self._discard()
            raise DataError(f"The database '{self.path}' cannot be made: {e}") from e
        return self

    def __exit__(self, exception_type: type[BaseException] | None, *exception: object) -> None:
        complete = False
        try:
            if exception_type is None:
                self._commit()
                complete = True
        finally:
            self._environment.close()
            if not complete:
                self._discard()

    def put(self, key: bytes, value: bytes) -> None:
        """Add an entry; a later one of the same key replaces it.

        Raises DataError when the key is not 1 to 511 bytes long, or the entries do not fit on the disk.
        """
        if not 1 <= len(key) <= 511:
            raise DataError(f"The key {key[:40]!r} has {len(key)} bytes; LMDB takes 1 to 511")
        self._pending.append((key, value))
        self._pending_bytes += len(value)
        if len(self._pending) >= _BATCH_ENTRIES or self._pending_bytes >= _BATCH_BYTES:
            self._commit()

    def _commit(self) -> None:
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in self._pending:
                        transaction.put(key, value)
                break
            except self._lmdb.MapFullError:
                self._map_size *= 2
                self._environment.set_mapsize(self._map_size)
            except self._lmdb.Error as e:
                raise DataError(
                    f"The database '{self.path}' cannot be written: {e}",
                    hint="Is the disk full? Make room or use another.",
                ) from e
        self._pending.clear()
        self._pending_bytes = 0

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            for name in os.listdir(self.path):
                os.remove(os.path.join(self.path, name))
            os.rmdir(self.path)
