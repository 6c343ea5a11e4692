"""Files read whole or written whole: what goes wrong is said in our own errors, and nothing is ever half written."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import CaffeError, MissingFileError, SnapshotError, nearest

_CHUNK = 2**21  # numbers
_FULL = (errno.ENOSPC, errno.EDQUOT, None)
"""Errors of a full disk; HDF5's have no number."""
PathLike = str | os.PathLike[str]


def find_file(path: PathLike) -> str:
    """The absolute path of a file that is there; raises MissingFileError, with a similar name if one is near."""
    if not os.fspath(path):
        raise MissingFileError("No file is named: its path is empty")
    where = os.path.abspath(path)
    if "\0" in where or not os.path.exists(where):
        raise MissingFileError(f"There is no file {where!r}", hint=_nearest(where))
    if os.path.isdir(where):
        raise MissingFileError(f"{where!r} is a folder, not a file")
    return where


def read_bytes(path: PathLike) -> bytes:
    """All bytes of a file; raises MissingFileError, or CaffeError if it cannot be read."""
    where = find_file(path)
    try:
        with open(where, "rb") as f:
            return f.read()
    except OSError as e:
        raise CaffeError(f"Cannot read {where!r}: {e.strerror or e}") from e


def read_npy(path: PathLike) -> Array:
    """The array in a .npy file of numpy's; raises MissingFileError, and CaffeError for what is none."""
    where = find_file(path)
    try:
        found = np.load(where)
        if not isinstance(found, np.ndarray):
            raise ValueError("it is an archive of several")
    except (OSError, EOFError, ValueError) as e:
        raise CaffeError(f"{where!r} is no array of numpy's: {e}") from e
    return found


def map_bytes(path: PathLike) -> memoryview:
    """All bytes of a file, read-only, which come into memory as they are looked at; raises as `read_bytes` does.

    What is no plain file (a pipe) is read instead. Nobody may cut the file short meanwhile.
    """
    where = find_file(path)
    try:
        with open(where, "rb") as f:
            try:
                return memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
            except (ValueError, OSError):  # ValueError: an empty one
                return memoryview(f.read())
    except OSError as e:
        raise CaffeError(f"Cannot read {where!r}: {e.strerror or e}") from e


def copy_mapped(source: Array, goal: Array) -> None:
    """Set goal to source, of as many numbers. Where source is a view of `map_bytes`, the bytes copied are let go of on
    the way, so that the file and what is made of it never are in memory both.
    """
    numbers, into = source.reshape(-1), goal.reshape(-1)
    for at in range(0, len(into), _CHUNK):
        piece = numbers[at : at + _CHUNK]
        with np.errstate(over="ignore"):  # float64 numbers that are none of float32
            into[at : at + _CHUNK] = piece
        _let_go(piece)


def _let_go(piece: Array) -> None:
    base: object = piece
    while isinstance(base, np.ndarray):
        base = base.base
    mapped = base.obj if isinstance(base, memoryview) else base
    if isinstance(mapped, mmap.mmap) and hasattr(mapped, "madvise"):
        first = piece.ctypes.data - np.frombuffer(mapped, np.uint8, 1).ctypes.data
        start = first - first % mmap.PAGESIZE
        mapped.madvise(mmap.MADV_DONTNEED, start, first - start + len(piece) * piece.strides[0])


def _nearest(where: str) -> str:
    folder, name = os.path.split(where)
    try:
        near = nearest(name, os.listdir(folder), cutoff=0.85)  # a common ending makes any two names look alike
        return f"Did you mean '{near}'?" if near else ""
    except (OSError, ValueError):
        return f"There is no folder {folder!r} either."


@contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Write a file so that it is there whole or not at all.

    Yields a path in the same folder, to be written and closed by the caller; it takes the name `path` when the block
    ends. If the block fails, it is removed, and whatever had that name before is as it was.

    What is there and no file, a pipe or a device, stays what it is, and is given the bytes in the end.

    Raises SnapshotError for whatever the operating system refuses: a full disk, no permission, no such folder.
    """
    goal, folder = _goal(path), None
    if takes_bytes := _is_pipe_or_device(path):
        import tempfile  # brings half of the standard library

        goal, folder = Path(path), Path(tempfile.mkdtemp())
    part = (folder or goal.parent) / part_name(goal.name)
    try:
        yield part
        if takes_bytes:
            with open(part, "rb") as source, open(goal, "wb") as target:
                shutil.copyfileobj(source, target)
            _remove(part)
        else:
            _sync(part)
            os.replace(part, goal)
    except CaffeError:
        _remove(part)
        raise
    except OSError as e:
        _remove(part)
        raise refused(goal, e) from e
    except BaseException:
        _remove(part)
        raise
    finally:
        if folder is not None:
            with suppress(OSError):
                folder.rmdir()
    with suppress(OSError):  # not every system can; the file itself is safe already
        _sync(goal.parent)


def check_writable(path: PathLike) -> None:
    """Make sure that `atomic_write` may write a file there, before the work whose outcome it is to hold; raises
    SnapshotError. Nothing is left there, and what is there is left alone.
    """
    import tempfile

    goal = _goal(path)
    if _is_pipe_or_device(path):
        return
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(goal).st_mode):  # a name that is too long raises
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=goal.parent):
            pass
    except OSError as e:
        raise refused(goal, e) from e


def part_name(name: str) -> str:
    """What a file or folder of this name is called while it is made; names have at most 255 bytes."""
    start = os.fsencode(name)[:200].decode(errors="ignore")
    return f".{start}.{os.urandom(4).hex()}.part"


def _goal(path: PathLike) -> Path:
    """Where it is: a link to a file elsewhere stays a link. Raises SnapshotError for what is no name."""
    if "\0" in os.fspath(path):
        raise SnapshotError(f"{os.fspath(path)!r} is no name for a file")
    return Path(os.path.realpath(path))


def refused(goal: Path, error: Exception) -> SnapshotError:
    """What to raise when an error keeps a file from being written."""
    said, folder = getattr(error, "strerror", None) or error, goal.parent
    if not folder.is_dir():
        said = f"{said} (there is no folder {folder})"
    elif getattr(error, "errno", None) in _FULL:
        said = f"{said}{_free(folder)}"
    return SnapshotError(f"Cannot write {goal}: {said}", hint="What was there before is untouched.")


def _is_pipe_or_device(path: PathLike) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _sync(path: Path) -> None:
    # Windows flushes writable handles only, and has none for folders.
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _free(folder: Path) -> str:
    try:
        return f" ({shutil.disk_usage(folder).free / 1e6:,.1f} MB are free there)"
    except OSError:
        return ""
