"""BlobVec: the list of a layer's learnable blobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import AssignmentError

if TYPE_CHECKING:
    from typing_extensions import Self


class BlobVec(list[Blob]):
    """A layer's learnable blobs, a list that makes new ones of its net's number type (pycaffe's BlobVec)."""

    def __init__(self, blobs: list[Blob] | tuple[Blob, ...] = (), dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__(blobs)
        self.dtype = np.dtype(dtype)

    # Each raises AssignmentError for an array at a blob's place: its numbers belong into the blob's.

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, _blobs(value) if isinstance(index, slice) else _blob(value))
        Blob.note_change()

    def append(self, value: Blob) -> None:
        super().append(_blob(value))

    def insert(self, index: SupportsIndex, value: Blob) -> None:
        super().insert(index, _blob(value))

    def extend(self, values: Iterable[Blob]) -> None:
        super().extend(_blobs(values))

    def __iadd__(self, values: Iterable[Blob]) -> Self:  # type: ignore[misc, override]  # as in list
        self.extend(values)
        return self

    def add_blob(self, *shape: int) -> Blob:
        """Append a new blob of zeros of this shape."""
        self.append(Blob(shape, self.dtype))
        return self[-1]

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))


def _blob(value: object) -> Blob:
    if not isinstance(value, Blob):
        raise AssignmentError(
            f"A layer's parameter is a blob, not {type(value).__name__}",
            hint="Write numbers into it: net.params[name][i].data[...] = array.",
        )
    return value


def _blobs(values: Iterable[object]) -> list[Blob]:
    return list(map(_blob, values))
