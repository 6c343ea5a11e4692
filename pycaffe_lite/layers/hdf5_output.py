"""HDF5Output: keeps what passes by in an HDF5 file."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from pycaffe_lite._extras import require
from pycaffe_lite._files import atomic_write
from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.constraints import non_empty
from pycaffe_lite.errors import DataError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.registry import register_layer

_DATASETS = ("data", "label")


@register_layer("HDF5Output")
class HDF5Output(Layer):
    """Writes bottom 0 as dataset "data", bottom 1 as dataset "label" of hdf5_output_param.file_name.

    Both have shape (N, C, H, W), absent axes being 1, and the net's number type; each forward pass appends its N rows.
    The file appears, whole, when the net is closed or let go; a net that never ran leaves none.

    Raises ShapeError for bottoms of more than 4 axes or different N, and for rows of another shape than those before,
    DataError or SnapshotError where the file cannot be written, MissingPackageError without h5py.

    Differences from Caffe: a second forward pass appends, Caffe's fails; the file is not there before it is complete.
    """

    bottoms = exactly(2)
    tops = exactly(0)
    has_backward = False
    constraints = {"hdf5_output_param.file_name": non_empty()}

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        for i, shape in enumerate(bottom_shapes):
            if not 1 <= len(shape) <= 4:
                raise ShapeError(
                    f"bottom {i} has shape {shape}", hint="HDF5Output writes blobs of 1 to 4 axes: N, C, H, W."
                )
        data, label = bottom_shapes
        if data[0] != label[0]:
            raise ShapeError(f"bottom 0 has {data[0]} rows, bottom 1 has {label[0]}", hint="They must be equal.")
        return []

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._h5py = require("h5py", "write HDF5 files")
        self._datasets: list[Any] = []

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        name = self._message.hdf5_output_param.file_name
        rows = [blob.data.reshape(blob.shape + (1,) * (4 - len(blob.shape))) for blob in bottom]
        try:
            if not self._datasets:
                self._open(name, rows)
            for dataset, new in zip(self._datasets, rows, strict=True):
                if dataset.shape[1:] != new.shape[1:]:
                    raise ShapeError(
                        f"Rows of shape {new.shape[1:]} do not go into the same dataset as those of "
                        f"{dataset.shape[1:]} before them"
                    )
            for dataset, new in zip(self._datasets, rows, strict=True):
                start = len(dataset)
                dataset.resize(start + len(new), axis=0)
                dataset[start:] = new
        except OSError as e:
            raise DataError(f"'{name}' cannot be written: {e}") from e

    def _open(self, name: str, rows: Sequence[Array]) -> None:
        with ExitStack() as stack:
            part = stack.enter_context(atomic_write(name))
            file = stack.enter_context(self._h5py.File(part, "w"))
            self._datasets = [
                file.create_dataset(dataset, (0, *new.shape[1:]), new.dtype, maxshape=(None, *new.shape[1:]))
                for dataset, new in zip(_DATASETS, rows, strict=True)
            ]
            self._finish = weakref.finalize(self, stack.pop_all().close)

    def close(self) -> None:
        if self._datasets:
            self._datasets = []
            self._finish()
