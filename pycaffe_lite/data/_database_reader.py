"""What readers of databases share, whatever the kind: a folder of values, in the order of their keys."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from pycaffe_lite._files import PathLike
from pycaffe_lite.errors import DataError

_log = logging.getLogger(__name__)

FETCH_AGAIN = "Copy it again from where it came from, or convert the data again."

_Reader = TypeVar("_Reader", bound="DatabaseReader")


class DatabaseReader(ABC):
    """Reads values one after the other, in key order, from the start again after the last.

    Nothing is written into the folder, which may be one that nobody can write to. A reader is for one thread at a time.
    It closes itself when collected.

    Raises MissingFileError when there is no such folder, DataError when it holds no such database, or one that is cut
    off, corrupt or empty.
    """

    _package_errors: tuple[type[Exception], ...] = ()
    """What the package that reads raises where the database is corrupt."""

    def __init__(self, path: PathLike) -> None:
        self.path = os.fspath(path)
        self._open()
        self._closed = False
        self._failure: DataError | None = None
        self._length: int | None = None
        self._position = 0
        self._ahead: Iterator[bytes] = iter(())
        self._next = b""
        try:
            if not self._go_to(0):
                raise DataError(f"The database '{self.path}' is empty", hint="Convert the data again.")
        except BaseException:
            self.close()
            raise

    @property
    @abstractmethod
    def total_entries(self) -> int:
        """How many entries were ever put, as far as the database knows without being read: tells it from another."""

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _count(self) -> int: ...

    @abstractmethod
    def _keys(self) -> Iterator[bytes]: ...

    @abstractmethod
    def _values(self, start: int) -> Iterator[bytes]:
        """The values from entry `start` on; none where that is beyond the last."""

    def __len__(self) -> int:
        if self._length is None:
            with self._reading():
                self._length = self._count()
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """All values once, from the first; `position` stays where it is."""
        return self._walk(lambda: self._values(0))

    def keys(self) -> Iterator[bytes]:
        """All keys, in order."""
        return self._walk(self._keys)

    @property
    def position(self) -> int:
        """Index of the value that `read` returns next. Setting it walks the keys up to there."""
        return self._position

    @position.setter
    def position(self, index: int) -> None:
        if index < 0 or not self._go_to(index):
            raise DataError(
                f"The database '{self.path}' has no entry {index}: it has {len(self)}",
                hint="It is not the database that the position was taken from.",
            )

    def skip(self, n: int) -> None:
        """Go `n` entries ahead, from the first again after the last."""
        if not self._go_to(self._position + n):
            self._go_to((self._position + n) % len(self))

    def read(self, n: int) -> list[bytes]:
        """The next `n` values. After the last value it goes on with the first, and logs that.

        Raises DataError when the database turns out to be corrupt, and from then on until `position` is set.
        """
        if self._failure is not None:
            raise self._failure
        read: list[bytes] = []
        try:
            while len(read) < n:
                with self._reading():
                    values = [self._next, *islice(self._ahead, n - len(read) - 1)]
                    following = next(self._ahead, None)
                read += values
                self._position += len(values)
                if following is None:
                    self._restart()
                else:
                    self._next = following
        except DataError as e:
            self._failure = e
            raise
        return read

    def _restart(self) -> None:
        if self._length is None:
            self._length = self._position
        if self._position != self._length:
            raise DataError(f"The database '{self.path}' has fewer entries than it says", hint=FETCH_AGAIN)
        _log.info("Restarting data prefetching from start.")
        self._go_to(0)

    def _go_to(self, index: int) -> bool:
        """Read on from entry `index`, if there is one."""
        with self._reading():
            ahead = self._values(index)
            first = next(ahead, None)
        if first is None:
            return False
        # One value ahead, so that the end is noticed with the last value, without having counted.
        self._ahead, self._next = ahead, first
        self._position, self._failure = index, None
        return True

    def close(self) -> None:
        """Give the database back. May be repeated."""
        if not self._closed:
            self._closed = True
            self._ahead = iter(())
            self._close()

    def __enter__(self: _Reader) -> _Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _walk(self, entries: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        with self._reading():
            for entry in entries():
                yield entry
                self._check_open()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._check_open()
        try:
            yield
        except self._package_errors as e:
            what = "cannot be read" if isinstance(e, OSError) else "is corrupt"
            raise DataError(f"The database '{self.path}' {what}: {e}", hint=FETCH_AGAIN) from e

    def _check_open(self) -> None:
        if self._closed:
            raise DataError(f"The database '{self.path}' was read after it had been closed")
