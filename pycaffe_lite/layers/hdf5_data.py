"""HDF5Data: rows of HDF5 files, whose datasets are named as the tops are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pycaffe_lite.constraints import at_least as value_at_least
from pycaffe_lite.constraints import non_empty
from pycaffe_lite.data.hdf5 import HDF5Position, HDF5Source
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.layer import Blobs, at_least
from pycaffe_lite.layers._data import DataLayer, field_of
from pycaffe_lite.order import Order
from pycaffe_lite.registry import register_layer


@register_layer("HDF5Data")
class HDF5Data(DataLayer):
    """Reads the files listed in hdf5_data_param.source, one path per line, the next one in the background. Tops:
    (batch_size, the axes of a row).

    Raises MissingFileError and DataError for the files, ParameterError for a transform_param, which HDF5Data lacks.
    """

    tops = at_least(1)
    constraints = {"hdf5_data_param.source": non_empty(), "hdf5_data_param.batch_size": value_at_least(1)}

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        if self._message.HasField("transform_param"):
            raise ParameterError(
                "HDF5Data does not transform data",
                field="transform_param",
                hint="Drop transform_param and store the numbers as the net wants them.",
            )
        p = self._message.hdf5_data_param
        with field_of("hdf5_data_param.source"):
            self._source = HDF5Source(p.source, list(self._message.top), p.batch_size, p.shuffle, self._rng())
        for blob, shape in zip(top, self._source.shapes(), strict=True):
            blob.reshape(*shape)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        self._source.next_batch([blob.open("data", Order.PLAIN) for blob in top])

    def resume_state(self) -> dict[str, Any]:
        return {"position": [*self._source.position], "seed": self._source.seed}

    def set_resume_state(self, state: Mapping[str, Any]) -> None:
        self._source.resume(HDF5Position(*state["position"]), state["seed"])
