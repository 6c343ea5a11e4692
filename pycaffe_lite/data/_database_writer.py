"""What writers of databases share, whatever the kind."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pycaffe_lite._files import PathLike, part_name
from pycaffe_lite.errors import DataError, MissingFileError

_Writer = TypeVar("_Writer", bound="DatabaseWriter")


class DatabaseWriter(ABC):
    """A new database, written within a `with` block: at its end it is there whole, or after an exception not at all.

    Raises DataError when something exists at `path` already (Caffe's mode NEW), MissingFileError when the folder it
    should lie in does not.
    """

    _batch_entries: int
    _batch_bytes: int
    _package_errors: tuple[type[Exception], ...] = (OSError,)
    """What is raised where the database cannot be written."""

    def __init__(self, path: PathLike) -> None:
        self.path = os.fspath(path)
        parent, name = os.path.split(os.path.abspath(self.path))
        self._folder = os.path.join(parent, part_name(name))
        """Where it is written."""
        self._pending: list[tuple[bytes, bytes]] = []
        self._pending_bytes = 0

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _write(self, entries: list[tuple[bytes, bytes]]) -> None: ...

    @abstractmethod
    def _finish(self) -> None:
        """What makes the entries written so far a database."""

    @abstractmethod
    def _close(self) -> None:
        """Close what is open, whether or not it was finished."""

    def __enter__(self: _Writer) -> _Writer:
        if os.path.lexists(self.path):
            raise self._exists()
        try:
            os.mkdir(self._folder)
        except FileNotFoundError as e:
            raise MissingFileError(
                f"There is no folder to make '{self.path}' in", hint="Make that folder first."
            ) from e
        except OSError as e:
            raise DataError(f"The folder '{self.path}' cannot be made: {e.strerror}") from e
        try:
            with self._writing("made"):
                self._start()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(self, exception_type: type[BaseException] | None, *exception: object) -> None:
        complete = False
        try:
            if exception_type is None:
                self._commit()
                with self._writing():
                    self._finish()
                complete = True
        finally:
            self._close()
            if not complete:
                self._discard()
        if complete:
            try:
                os.rename(self._folder, self.path)
            except OSError as e:  # something else has that name by now
                self._discard()
                raise self._exists() from e

    def put(self, key: bytes, value: bytes) -> None:
        """Add an entry; a later one of the same key replaces it. Raises DataError when it does not fit on the disk."""
        self._pending.append((key, value))
        self._pending_bytes += len(value)
        if len(self._pending) >= self._batch_entries or self._pending_bytes >= self._batch_bytes:
            self._commit()

    def _commit(self) -> None:
        with self._writing():
            self._write(self._pending)
        self._pending.clear()
        self._pending_bytes = 0

    def _discard(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _exists(self) -> DataError:
        return DataError(
            f"'{self.path}' exists already", hint="Remove it first or give another name; nothing is overwritten."
        )

    @contextmanager
    def _writing(self, what: str = "written") -> Iterator[None]:
        try:
            yield
        except self._package_errors as e:
            raise DataError(
                f"The database '{self.path}' cannot be {what}: {e}",
                hint="Is the disk full? Make room or use another.",
            ) from e
