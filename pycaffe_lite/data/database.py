"""Databases of either kind, by Caffe's names for them: lmdb and leveldb."""

from __future__ import annotations

import os

from pycaffe_lite._files import PathLike
from pycaffe_lite.data._backends import BACKENDS, held_backends
from pycaffe_lite.data._database_reader import DatabaseReader
from pycaffe_lite.data._database_writer import DatabaseWriter
from pycaffe_lite.data.leveldb import LevelDBReader, LevelDBWriter
from pycaffe_lite.data.lmdb import LMDBReader, LMDBWriter
from pycaffe_lite.errors import DataError, did_you_mean

__all__ = ["BACKENDS", "DatabaseReader", "DatabaseWriter", "new_database", "open_database"]

_READERS: dict[str, type[DatabaseReader]] = {"lmdb": LMDBReader, "leveldb": LevelDBReader}
_WRITERS: dict[str, type[LMDBWriter] | type[LevelDBWriter]] = {"lmdb": LMDBWriter, "leveldb": LevelDBWriter}


def open_database(path: PathLike, backend: str | None = None) -> DatabaseReader:
    """A reader of the database in folder `path`; without `backend`, of the kind that the folder holds.

    Raises DataError when the folder holds another kind or none, and what the reader raises.
    """
    path = os.fspath(path)
    if backend is None:
        held = held_backends(path)
        if not held:
            raise DataError(
                f"'{path}' is no database: it is no folder with a data.mdb (LMDB) or CURRENT (LevelDB)",
                hint="Give the folder the converter made.",
            )
        backend = held[-1]
    _check_name(backend)
    return _READERS[backend](path)


def new_database(path: PathLike, backend: str = "lmdb") -> DatabaseWriter:
    """A writer of a database that does not exist yet. Raises what LMDBWriter and LevelDBWriter raise."""
    _check_name(backend)
    return _WRITERS[backend](path)


def _check_name(backend: str) -> None:
    if backend not in BACKENDS:
        raise DataError(f"There is no database backend '{backend}'", hint=did_you_mean(backend, BACKENDS))
