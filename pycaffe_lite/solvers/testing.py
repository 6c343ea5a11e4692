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


def run_test(net: Net, batches: int, compute_loss: bool, go_on: Callable[[int], bool]) -> bool:
    """Run so many batches through the net and log its mean outputs, and its loss if `compute_loss`.

    `go_on` is asked before each batch, with its number; when it says no, the test ends. Returns whether it ran to its
    end. Raises ShapeError for outputs that differ in size from batch to batch: they have no mean.
    """
    last = len(net._nodes) - 1
    loss = 0.0
    sums: list[Array] = []
    for i in range(batches):
        if not go_on(i):
            log.info("Test interrupted.")
            return False
        loss += net._forward(0, last)
        outputs = [net.blobs[name].data for name in net.outputs]
        if not sums:
            sums = [np.zeros(o.shape, np.float64) for o in outputs]
        for name, total, output in zip(net.outputs, sums, outputs, strict=True):
            if total.shape != output.shape:
                raise ShapeError(f"Test output '{name}' has shape {output.shape} in batch {i}, before {total.shape}",
                                 hint="Consume it, with a Silence layer for one.")
            total += output
    if compute_loss:
        log.info("Test loss: %g", loss / batches)
    log_outputs("Test", net, [total / batches for total in sums])
    return True
