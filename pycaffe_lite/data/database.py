"""Databases by Caffe's names for their kinds."""

from __future__ import annotations

from pycaffe_lite._files import PathLike
from pycaffe_lite.data.lmdb import LMDBReader, LMDBWriter

BACKENDS = ("lmdb",)


def open_database(path: PathLike, backend: str | None = None) -> LMDBReader:
    """A reader of the database in folder `path`; raises what LMDBReader raises."""
    return LMDBReader(path)


def new_database(path: PathLike, backend: str = "lmdb") -> LMDBWriter:
    """A new database, to be written within a `with` block; raises what LMDBWriter raises."""
    return LMDBWriter(path)
