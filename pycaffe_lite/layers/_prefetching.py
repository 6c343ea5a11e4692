"""What data layers share that make their batches ahead, in a background thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.data.prefetch import Prefetcher
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._data import DataLayer
from pycaffe_lite.order import Order


class PrefetchingLayer(DataLayer):
    """A subclass calls `_start` at the end of its setup and writes `_produce`, which runs in the thread and fills
    `_buffer`s.

    Where reading and random numbers stand goes through the queue with each batch, since the thread is ahead: the
    layer's state is that behind the last batch that forward took.
    """

    def _start(self, top: Blobs, shape: Shape, depth: int) -> None:
        """Shape the tops for batches of `shape`, to be made at most `depth` ahead."""
        self._dtype = top[0].dtype
        top[0].reshape(*shape)
        if len(top) > 1:
            top[1].reshape(shape[0])
        # One batch is being made, one is being copied, the others wait.
        self._buffers = depth + 2
        self._turn = 0
        self._work_ahead(depth)

    def _work_ahead(self, depth: int) -> None:
        self._depth = depth
        self._consumed = super()._whole_state()
        self._prefetcher = Prefetcher(self._produce_with_state, depth)

    def _produce(self) -> tuple[Array, Array]:
        """The next batch (N, C, H, W) and its labels (N,)."""
        raise NotImplementedError

    def _produce_with_state(self) -> tuple[Array, Array, dict[str, Any]]:
        return *self._produce(), super()._whole_state()

    def _buffer(self, shape: Shape) -> Array:
        """Memory for the batch in the making; its numbers are undefined."""
        self._turn = (self._turn + 1) % self._buffers
        return self._scratch(f"batch {self._turn}", shape, self._dtype)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        images, labels, self._consumed = self._prefetcher.get()
        top[0].reshape(*images.shape)
        top[0].open("data", Order.PLAIN)[...] = images
        if len(top) > 1:
            top[1].reshape(len(labels))
            top[1].open("data", Order.PLAIN)[...] = labels

    def _whole_state(self) -> dict[str, Any]:
        return self._consumed

    def _set_whole_state(self, state: Mapping[str, Any]) -> None:
        self._prefetcher.close()
        try:
            super()._set_whole_state(state)
        except Exception:
            super()._set_whole_state(self._consumed)
            raise
        finally:
            self._work_ahead(self._depth)

    def close(self) -> None:
        self._prefetcher.close()
