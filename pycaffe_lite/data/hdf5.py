"""HDF5 files named in a list, read in Caffe's order."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pycaffe_lite._extras import require
from pycaffe_lite._hdf5 import H5PY_ERRORS
from pycaffe_lite._typing import FloatArray, Shape
from pycaffe_lite.data.prefetch import Begun
from pycaffe_lite.errors import DataError, MissingFileError, ParameterError, did_you_mean


class HDF5Position(NamedTuple):
    """Where reading goes on: passes over all files so far, place in the files' order, place in the rows' order."""

    epoch: int
    file: int
    row: int


class HDF5Source:
    """Batches of rows from the files named in a list, one path per line.

    A path is relative to the current folder or else to the list's. Every file has one dataset per name, all of as
    many rows; integers become float32. Two files are in memory at a time: from the first batch of a file on the next
    one is read in the background. Rows run on from file to file and from the last to the first. With `shuffle`, the
    order of the files is drawn anew for each pass over them, the order of the rows whenever a file is begun; both
    follow from `rng`'s first draw and `position`, so that setting `position` resumes either way.

    Raises MissingFileError for the list or a file in it, DataError for files that cannot be used, ParameterError when
    batch_size is below 1.

    Differences from Caffe: paths may contain spaces; files of differing row shapes are refused; with `shuffle`, the
    random numbers are not Caffe's.
    """

    def __init__(
        self, list_file: str, names: Sequence[str], batch_size: int, shuffle: bool, rng: np.random.Generator
    ) -> None:
        if batch_size < 1:
            raise ParameterError(f"batch_size is {batch_size}", hint="It must be at least 1.")
        self._h5py = require("h5py", "read HDF5 files")
        self._list_file = list_file
        self._files = _read_list(list_file)
        self._names = list(names)
        self._batch_size = batch_size
        self.seed = int(rng.integers(2**63)) if shuffle else None
        """What the orders of files and rows follow from; None where nothing is shuffled."""
        self._loaded = ""
        self._data: list[FloatArray] = []
        self._ahead: tuple[str, Begun[list[FloatArray]]] | None = None
        """The file that will be next, and what reads it."""
        self.position = HDF5Position(0, 0, 0)

    def shapes(self) -> list[Shape]:
        """Of a batch of each name, in the names' order: (batch_size, the axes of a row)."""
        return [(self._batch_size, *d.shape[1:]) for d in self._data]

    @property
    def position(self) -> HDF5Position:
        """What the next batch begins with. Setting it raises DataError where there is no such file or row."""
        return HDF5Position(self._epoch, self._file, self._row)

    @position.setter
    def position(self, position: HDF5Position) -> None:
        epoch, file, row = position
        if not 0 <= file < len(self._files):
            raise DataError(f"'{self._list_file}' has no file {file}: it names {len(self._files)}")
        self._begin(epoch, file)
        if not 0 <= row < len(self._data[0]):
            raise DataError(f"'{self._loaded}' has no row {row}: it has {len(self._data[0])}")
        self._row = row

    def resume(self, position: HDF5Position, seed: int | None) -> None:
        """Go on where another source of these files was, with its seed.

        Raises DataError, and changes nothing, where there is no such file or row, or only one of them shuffles.
        """
        if (seed is None) != (self.seed is None):
            raise DataError("Either the snapshot or the net has shuffled rows, not both")
        before = self.position, self.seed
        self.seed = seed
        try:
            self.position = position
        except DataError:
            self.seed = before[1]
            self.position = before[0]
            raise

    def next_batch(self, outs: Sequence[FloatArray]) -> None:
        """Copy the next rows into `outs`, one array per name, each of `shapes` (or of another number of rows)."""
        if self._ahead is None and len(self._files) > 1 and (path := self._path(*self._next())) != self._loaded:
            self._ahead = path, Begun(functools.partial(self._load, path))
        filled, wanted = 0, len(outs[0])
        while filled < wanted:
            count = min(wanted - filled, len(self._data[0]) - self._row)
            rows = slice(self._row, self._row + count)
            for out, data in zip(outs, self._data, strict=True):
                out[filled : filled + count] = data[rows if self._rows is None else self._rows[rows]]
            filled += count
            self._row += count
            if self._row == len(self._data[0]):
                self._begin(*self._next())

    def _next(self) -> tuple[int, int]:
        """Which file comes behind this one: the pass over all files, and the place in it."""
        last = self._file + 1 == len(self._files)
        return self._epoch + last, 0 if last else self._file + 1

    def _path(self, epoch: int, file: int) -> str:
        index = file
        if self.seed is not None:
            index = int(np.random.default_rng([self.seed, epoch]).permutation(len(self._files))[file])
        return self._files[index]

    def _begin(self, epoch: int, file: int) -> None:
        if (path := self._path(epoch, file)) != self._loaded:
            ahead, self._ahead = self._ahead, None
            data = ahead[1].result() if ahead is not None and ahead[0] == path else self._load(path)
            self._check_alike(data, path)
            self._data, self._loaded = data, path
        self._epoch, self._file, self._row = epoch, file, 0
        self._rows = None
        if self.seed is not None:
            self._rows = np.random.default_rng([self.seed, epoch, file]).permutation(len(self._data[0]))

    def _load(self, path: str) -> list[FloatArray]:
        try:
            with self._h5py.File(path, "r") as file:
                data = [self._load_dataset(file, path, name) for name in self._names]
        except DataError:
            raise
        except H5PY_ERRORS as e:
            raise DataError(f"'{path}' cannot be read as an HDF5 file: {e}") from e
        for name, array in zip(self._names, data, strict=True):
            if len(array) != len(data[0]):
                raise DataError(
                    f"'{path}' has {len(data[0])} rows of '{self._names[0]}' and {len(array)} of '{name}'",
                    hint="All datasets of a file must have the same number of rows.",
                )
        return data

    def _check_alike(self, data: Sequence[FloatArray], path: str) -> None:
        for name, array, before in zip(self._names, data, self._data, strict=False):
            if array.shape[1:] != before.shape[1:]:
                raise DataError(
                    f"The rows of '{name}' are of shape {array.shape[1:]} in '{path}' and "
                    f"{before.shape[1:]} in '{self._loaded}'",
                    hint="All files of a list must have rows of one shape.",
                )

    def _load_dataset(self, file: Any, path: str, name: str) -> FloatArray:
        dataset = file.get(name)
        if not isinstance(dataset, self._h5py.Dataset):
            raise DataError(
                f"'{path}' has no dataset '{name}'; it has: {', '.join(file) or 'none'}",
                hint=did_you_mean(name, file) or "The layer's tops are named as the datasets.",
            )
        if dataset.dtype.kind not in "fiub":
            raise DataError(f"Dataset '{name}' of '{path}' has type {dataset.dtype}", hint="It must hold numbers.")
        if dataset.ndim < 1 or 0 in dataset.shape:
            raise DataError(f"Dataset '{name}' of '{path}' has shape {dataset.shape}", hint="It needs rows of numbers.")
        array: FloatArray = dataset[()].astype(np.float32, copy=False)
        return array


def _read_list(list_file: str) -> list[str]:
    """The files named in the list, as paths that exist."""
    try:
        with open(list_file, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
    except FileNotFoundError as e:
        raise MissingFileError(
            f"There is no file '{list_file}'", hint="The source of HDF5Data is a text file that lists .h5 files."
        ) from e
    except OSError as e:
        raise DataError(f"The list '{list_file}' cannot be read: {e.strerror or e}") from e
    if lines and lines[0].startswith("\udc89HDF"):
        raise DataError(
            f"'{list_file}' is an HDF5 file", hint="The source of HDF5Data is a text file that lists such files."
        )
    files = []
    for number, line in enumerate(lines, 1):
        beside = os.path.join(os.path.dirname(list_file), line)
        if line and not os.path.isfile(line) and not os.path.isfile(beside):
            folder = os.path.isdir(line) or os.path.isdir(beside)
            found = f"'{line}' is a folder, not a file" if folder else f"There is no file '{line}'"
            raise MissingFileError(f"{found}, named in line {number} of '{list_file}'")
        if line:
            files.append(line if os.path.isfile(line) else beside)
    if not files:
        raise DataError(f"'{list_file}' names no files", hint="Write one path to an .h5 file per line.")
    return files
