"""A test: the mean of a net's outputs over some batches."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.net import Net
from pycaffe_lite.solvers.display import log_outputs

log = logging.getLogger(__name__)


def run_test(net: Net, batches: int, compute_loss: bool, go_on: Callable[[int], bool]) -> dict[str, Array] | None:
    """Run so many batches through the net; log and return its mean outputs by name; log its loss if `compute_loss`.

    `go_on` is asked before each batch, with its number; when it says no, the test ends and there is nothing to
    return. Raises ShapeError for outputs that differ in size from batch to batch: they have no mean.
    """
    last = len(net._nodes) - 1
    loss = 0.0
    sums: dict[str, Array] = {}
    for i in range(batches):
        if not go_on(i):
            log.info("Test interrupted.")
            return None
        loss += net._forward(0, last)
        for name in net.outputs:
            output = net.blobs[name].data
            total = sums.setdefault(name, np.zeros(output.shape, np.float64))
            if total.shape != output.shape:
                raise ShapeError(
                    f"Test output '{name}' has shape {output.shape} in batch {i}, before {total.shape}",
                    hint="Consume it, with a Silence layer for one.",
                )
            total += output
    if compute_loss:
        log.info("Test loss: %g", loss / batches)
    for total in sums.values():
        total /= batches
    log_outputs("Test", net, sums)
    return sums
