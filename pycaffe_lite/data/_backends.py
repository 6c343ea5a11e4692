"""Which kind of database a folder holds, told by the file that each kind has."""

from __future__ import annotations

import os

from pycaffe_lite.errors import DataError, MissingFileError

_KINDS = {"lmdb": ("an", "LMDB", "data.mdb"), "leveldb": ("a", "LevelDB", "CURRENT")}

BACKENDS = tuple(_KINDS)


def held_backends(path: str) -> list[str]:
    """Of `BACKENDS`, what folder `path` holds: one as a rule. Raises MissingFileError when nothing is there."""
    if not os.path.exists(path):
        raise MissingFileError(
            f"There is no database '{path}'", hint="A database is a folder; its path is relative to the current one."
        )
    return [kind for kind, (_, _, file) in _KINDS.items() if os.path.isfile(os.path.join(path, file))]


def check_backend(path: str, backend: str) -> None:
    """Raise DataError unless folder `path` holds a database of kind `backend`, MissingFileError if nothing is there."""
    held = held_backends(path)
    if backend in held:
        return
    article, name, file = _KINDS[backend]
    if held:
        found_article, found, _ = _KINDS[held[0]]
        raise DataError(
            f"'{path}' is not {article} {name} database: it is {found_article} {found}",
            hint=f"Say 'backend: {held[0].upper()}', or convert the data again with --backend={backend}.",
        )
    raise DataError(
        f"'{path}' is not {article} {name} database: it is no folder with a {file}",
        hint="Give the folder the converter made.",
    )
