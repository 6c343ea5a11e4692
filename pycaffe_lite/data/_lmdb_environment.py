"""Opening LMDB environments to read: checked, and shared within the process."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

from pycaffe_lite.data._backends import check_backend
from pycaffe_lite.data._database_reader import FETCH_AGAIN
from pycaffe_lite.errors import DataError


class Environment:
    """An open environment; closes when the last reader lets go of it."""

    def __init__(self, environment: Any) -> None:
        self.environment = environment

    def __del__(self) -> None:
        self.environment.close()


# LMDB must not open a file twice within a process. Keyed by the file itself (device, inode), so that another path to it
# finds it and a database converted anew under the old path does not.
_environments: weakref.WeakValueDictionary[tuple[int, int], Environment] = weakref.WeakValueDictionary()
_environments_lock = threading.Lock()


def shared_environment(lmdb: Any, path: str) -> Environment:
    """The environment of the database in folder `path`, opened read-only and without a lock file; `lmdb` is the
    package.

    Raises MissingFileError when there is no such folder, DataError when it holds no LMDB, one that is cut off, or one
    that this process has open otherwise.
    """
    file = os.path.join(path, "data.mdb")
    check_backend(path, "lmdb")
    status = os.stat(file)
    with _environments_lock:
        key = (status.st_dev, status.st_ino)
        shared = _environments.get(key)
        if shared is None:
            shared = _environments[key] = Environment(_open(lmdb, path, status.st_size))
        return shared


def _open(lmdb: Any, path: str, size: int) -> Any:
    try:
        environment = lmdb.open(path, readonly=True, lock=False, create=False, max_dbs=0)
    except lmdb.Error as e:
        if "already open" in str(e):
            raise DataError(
                f"The database '{path}' is open elsewhere in this process",
                hint="Close the LMDBWriter or lmdb.Environment first.",
            ) from e
        raise DataError(f"'{path}' cannot be read as an LMDB database: {e}", hint=FETCH_AGAIN) from e
    # Reading a page that the file does not have would end the process (SIGBUS).
    pages = environment.info()["last_pgno"] + 1
    page_size = environment.stat()["psize"]
    if size < pages * page_size:
        environment.close()
        raise DataError(
            f"The database '{path}' is cut off: data.mdb has {size} bytes, it should have {pages * page_size}",
            hint=FETCH_AGAIN,
        )
    return environment
