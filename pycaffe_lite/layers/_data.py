"""What layers that bring data share: no bottoms, tops whose shapes the source decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pycaffe_lite._typing import Shape
from pycaffe_lite.errors import CaffeError, DataError
from pycaffe_lite.layer import Blobs, Layer, exactly, from_to


class DataLayer(Layer):
    """Tops: data, and labels where a second top is wanted. Shapes are set in setup, before the first forward."""

    bottoms = exactly(0)
    tops = from_to(1, 2)
    has_backward = False

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        return [None] * len(self._message.top)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """Nothing: the source has decided."""


@contextmanager
def field_of(field: str) -> Iterator[None]:
    """Errors from within the block are this field's ("data_param.source"), unless they name another."""
    try:
        yield
    except CaffeError as e:
        e.field = e.field or field
        raise


def check_size(saved: int, found: int, what: str) -> None:
    """Raise DataError unless a source has as many items (`what`, their plural) as when the layer's state was saved."""
    if saved != found:
        raise DataError(f"The source had {saved} {what} when the snapshot was written, it has {found}")
