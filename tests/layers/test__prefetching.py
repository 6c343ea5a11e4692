"""The buffers of layers that make batches ahead."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.layers._prefetching import PrefetchingLayer
from tests.waiting import wait_until


class Counting(PrefetchingLayer):
    """Batch n is full of n."""

    made = 0

    def _produce(self) -> tuple[Array, Array]:
        batch = self._buffer((2, 3))
        batch[...] = self.made
        self.made += 1
        return batch, np.full(2, self.made)


@pytest.mark.parametrize("depth", [1, 3])
def test_no_batch_is_overwritten_while_it_is_used(depth: int) -> None:
    layer, top = Counting(), [Blob(), Blob()]
    layer._start(top, (2, 3), depth)
    assert [t.shape for t in top] == [(2, 3), (2,)]
    for n in range(8):
        images, labels, _ = layer._prefetcher.get()
        wait_until(lambda n=n: layer.made > n + 1 + depth // 2)  # all that fits has been made, or half of it is left
        time.sleep(0.02)
        assert (images == n).all()
        assert (labels == n + 1).all()
    layer.close()


def test_tops_follow_the_batches() -> None:
    layer, top = Counting(), [Blob()]
    layer._start(top, (5, 7), 2)
    for n in range(3):
        layer.forward_cpu([], top)
        assert top[0].shape == (2, 3)
        assert (top[0].data == n).all()
    layer.close()
