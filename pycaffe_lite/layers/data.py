"""Data: images and labels from an LMDB or LevelDB of Datums, read and transformed ahead in a background thread."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import at_least, non_empty
from pycaffe_lite.data.database import open_database
from pycaffe_lite.data.datum import parse_datums
from pycaffe_lite.data.transformer import DataTransformer
from pycaffe_lite.errors import DataError
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._data import check_size, field_of
from pycaffe_lite.layers._prefetching import PrefetchingLayer
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.registry import register_layer

_log = logging.getLogger(__name__)


@register_layer("Data")
class Data(PrefetchingLayer):
    """Reads data_param.source in key order, again from the start after the last. Tops: data (batch_size, C, H, W) of
    the batch's first image, transformed by transform_param; labels (batch_size,).

    Raises MissingFileError and DataError for the database, DataError for images of several sizes in one batch.

    Differences from Caffe: where `backend` is not given, the database may be of either kind (Caffe takes LEVELDB).
    """

    constraints = {
        "data_param.source": non_empty(),
        "data_param.batch_size": at_least(1),
        "data_param.prefetch": at_least(1),
    }

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.data_param
        backend = pb.DataParameter.DB.Name(p.backend).lower() if p.HasField("backend") else None
        with field_of("data_param.source"):
            self._reader = open_database(p.source, backend)
        if p.rand_skip:
            self._reader.skip(int(self._rng().integers(p.rand_skip)))
        transform = self._message.transform_param
        self._force = {
            "force_color": transform.force_color or p.force_encoded_color,
            "force_gray": transform.force_gray,
        }
        self._transformer = DataTransformer(transform, self.phase, self._rng())

        start = self._reader.position
        first = self._reader.read(1)
        images, _ = parse_datums(first, **self._force)
        self._reader.position = start
        if any(self._force.values()) and not Datum.FromString(first[0]).encoded:
            _log.warning(
                "Data '%s': force_color and force_gray are ignored, the images are not encoded", self._message.name
            )
        self._start(top, (p.batch_size, *self._transformer.shape(images[0].shape)), p.prefetch)

    def _produce(self) -> tuple[Array, Array]:
        first = self._reader.position
        values = self._reader.read(self._message.data_param.batch_size)
        try:
            images, labels = parse_datums(values, **self._force)
            batch = self._buffer((len(images), *self._transformer.shape(images[0].shape)))
            self._transformer.transform_batch(images, batch)
        except DataError as e:
            e.found += f": {self._place_of(values, first)}"
            raise
        return batch, labels

    def _place_of(self, values: Sequence[bytes], first: int) -> str:
        """Which of these is no good by itself, or where they all are: `first` is the number of the first."""
        for i, value in enumerate(values):
            try:
                parse_datums([value], **self._force)
            except DataError:
                return f"entry {(first + i) % len(self._reader)} of '{self._reader.path}', counted from 0"
        return f"the batch begins with entry {first} of '{self._reader.path}', counted from 0"

    def resume_state(self) -> dict[str, Any]:
        return {"position": self._reader.position, "entries": self._reader.total_entries}

    def set_resume_state(self, state: Mapping[str, Any]) -> None:
        check_size(state["entries"], self._reader.total_entries, "entries")
        self._reader.position = state["position"]

    def close(self) -> None:
        super().close()
        self._reader.close()
