"""HDF5Output: keeps what passes by in an HDF5 file."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import ExitStack

from pycaffe_lite._extras import require
from pycaffe_lite._hdf5 import NewHDF5, new_hdf5
from pycaffe_lite._typing import Shape
from pycaffe_lite.constraints import non_empty
from pycaffe_lite.errors import ShapeError, SnapshotError
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.registry import register_layer


@register_layer("HDF5Output")
class HDF5Output(Layer):
    """Writes bottom 0 as dataset "data", bottom 1 as dataset "label" of hdf5_output_param.file_name.

    Both have shape (N, C, H, W), absent axes being 1, and the net's number type; each forward pass appends its N rows.
    The file appears, whole, when the net is closed or let go; a net that never ran leaves none.

    Raises ShapeError for bottoms of more than 4 axes or different N, and for rows of another shape than those before,
    SnapshotError where the file cannot be written, MissingPackageError without h5py.

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
        require("h5py", "write HDF5 files")
        self._file: NewHDF5 | None = None

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        name = self._message.hdf5_output_param.file_name
        rows = [blob.data.reshape(blob.shape + (1,) * (4 - len(blob.shape))) for blob in bottom]
        if self._file is None:
            with ExitStack() as stack:
                self._file = stack.enter_context(new_hdf5(name))
                self._open = stack.pop_all()
                self._finish = weakref.finalize(self, self._open.close)
        try:
            self._file.add_rows(dict(zip(("data", "label"), rows, strict=True)))
        except SnapshotError:
            self._file = None
            self._finish.detach()
            with self._open:  # which removes it
                raise

    def close(self) -> None:
        if self._file is not None:
            self._file = None
            self._finish()
