"""What data layers share that make their batches ahead, in a background thread."""

from __future__ import annotations

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.data.prefetch import Prefetcher
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._data import DataLayer


class PrefetchingLayer(DataLayer):
    """A subclass calls `_start` at the end of its setup and writes `_produce`, which runs in the thread and fills
    `_buffer`s.
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
        self._prefetcher = Prefetcher(self._produce, depth)

    def _produce(self) -> tuple[Array, Array]:
        """The next batch (N, C, H, W) and its labels (N,)."""
        raise NotImplementedError

    def _buffer(self, shape: Shape) -> Array:
        """Memory for the batch in the making; its numbers are undefined."""
        self._turn = (self._turn + 1) % self._buffers
        return self._scratch(f"batch {self._turn}", shape, self._dtype)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        images, labels = self._prefetcher.get()
        top[0].reshape(*images.shape)
        top[0].data[...] = images
        if len(top) > 1:
            top[1].reshape(len(labels))
            top[1].data[...] = labels

    def close(self) -> None:
        self._prefetcher.close()
