"""HDF5 files that are written: there whole or not at all, with errors of ours."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pycaffe_lite._extras import require
from pycaffe_lite._files import PathLike, atomic_write, refused
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ShapeError

H5PY_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError)
"""What h5py raises for broken files and full disks, by its version and the place."""


@contextmanager
def new_hdf5(path: PathLike) -> Iterator[NewHDF5]:
    """A new HDF5 file, which takes its name when the block ends, and is removed if that fails.

    Raises SnapshotError for what cannot be written, MissingPackageError (h5py).
    """
    h5py = require("h5py", "write HDF5 files")
    with atomic_write(path) as part, _Disk(part, "w+") as disk:
        new = NewHDF5(Path(path), disk, h5py.File(disk, "w"))
        try:
            yield new
        finally:
            new.h5.close()
        new.check()


class NewHDF5:
    """An HDF5 file that is being written: `h5` is the h5py.File."""

    def __init__(self, path: Path, disk: _Disk, h5: Any) -> None:
        self._path, self._disk, self.h5 = path, disk, h5

    def add_rows(self, rows: Mapping[str, Array]) -> None:
        """Append to the datasets of these names, (n, ...), which the first rows make, of their number type.

        Raises ShapeError, and adds nothing, for rows of another shape than those before them; SnapshotError.
        """
        for name, new in rows.items():
            if name in self.h5 and self.h5[name].shape[1:] != new.shape[1:]:
                raise ShapeError(
                    f"Rows of shape {new.shape[1:]} do not go into dataset '{name}' behind rows of shape "
                    f"{self.h5[name].shape[1:]}"
                )
        with self.writing():
            for name, new in rows.items():
                if name not in self.h5:
                    self.h5.create_dataset(name, (0, *new.shape[1:]), new.dtype, maxshape=(None, *new.shape[1:]))
                dataset, start = self.h5[name], len(self.h5[name])
                dataset.resize(start + len(new), axis=0)
                dataset[start:] = new

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block that only writes: what h5py raises in it becomes a SnapshotError."""
        try:
            yield
        except H5PY_ERRORS as e:
            raise refused(self._path, e) from e
        self.check()

    def check(self) -> None:
        """Raise SnapshotError if something could not be written."""
        if self._disk.error is not None:
            raise refused(self._path, self._disk.error)


class _Disk(io.FileIO):
    """A file that takes whatever is written; `error` is why it does not have it. HDF5 itself, on a full disk, loses
    numbers in silence, and crashes when the program ends.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        with memoryview(data).cast("B") as left:
            done, size = 0, len(left)
            while done < size and self.error is None:
                try:
                    done += super().write(left[done:])
                except OSError as e:
                    self.error = e
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as e:
            self.error = self.error or e
            return 0 if size is None else size
