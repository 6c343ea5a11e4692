"""MemoryData: arrays that the user hands over, batch after batch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import at_least
from pycaffe_lite.errors import DataError, ShapeError
from pycaffe_lite.layer import Blobs, exactly
from pycaffe_lite.layers._data import DataLayer
from pycaffe_lite.order import Order
from pycaffe_lite.registry import register_layer

_log = logging.getLogger(__name__)


@register_layer("MemoryData")
class MemoryData(DataLayer):
    """Tops: data (batch_size, channels, height, width), labels (batch_size,), taken in turn from the arrays given to
    `Net.set_input_arrays`, again from the start after the last.

    Raises DataError when a forward pass comes before any data.
    """

    tops = exactly(2)
    constraints = {f"memory_data_param.{name}": at_least(1) for name in ("batch_size", "channels", "height", "width")}

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.memory_data_param
        if self._message.HasField("transform_param"):
            _log.warning("MemoryData '%s' does not transform arrays: transform_param is ignored", self._message.name)
        top[0].reshape(p.batch_size, p.channels, p.height, p.width)
        top[1].reshape(p.batch_size)
        self._data: Array | None = None
        self._labels: Array = np.empty(0)
        self._next = 0

    def set_input_arrays(self, data: Array, labels: Array) -> None:
        """Take these arrays, without a copy: data (n, channels, height, width) and labels (n) or (n, 1, 1, 1), float32.

        They are taken from their first item on; only the first arrays after a snapshot was restored, which cannot
        hold them, from where it was. Raises ShapeError for other shapes and unless n is a multiple of batch_size;
        DataError for fewer data than a snapshot had.
        """
        p = self._message.memory_data_param
        shape = (p.channels, p.height, p.width)
        n = len(data)
        if data.shape[1:] != shape:
            raise ShapeError(f"data has shape {data.shape}, memory_data_param says (n, {', '.join(map(str, shape))})")
        if labels.size != n:
            raise ShapeError(f"There are {n} data and {labels.size} labels", hint="Give one label for each.")
        if n == 0 or n % p.batch_size:
            raise ShapeError(
                f"There are {n} data, batch_size is {p.batch_size}",
                hint="Their number must be a multiple of the batch size.",
            )
        if self._data is None:
            self._check_next(self._next, n)
        else:
            self._next = 0
        self._data, self._labels = data, labels.reshape(n)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        if self._data is None:
            raise DataError(
                "There are no data yet", hint="Call net.set_input_arrays(data, labels) before net.forward()."
            )
        size = self._message.memory_data_param.batch_size
        batch = slice(self._next, self._next + size)
        top[0].open("data", Order.PLAIN)[...] = self._data[batch]
        top[1].open("data", Order.PLAIN)[...] = self._labels[batch]
        self._next = (self._next + size) % len(self._data)

    def resume_state(self) -> dict[str, Any]:
        return {"next": self._next}

    def set_resume_state(self, state: Mapping[str, Any]) -> None:
        if self._data is not None:
            self._check_next(state["next"], len(self._data))
        self._next = state["next"]

    def _check_next(self, item: int, count: int) -> None:
        size = self._message.memory_data_param.batch_size
        if item and item + size > count:
            raise DataError(f"The snapshot goes on at item {item}, in batches of {size}; there are {count} data")
