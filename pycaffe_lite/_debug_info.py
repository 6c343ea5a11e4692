"""Caffe's debug_info lines: the mean absolute value of whatever a layer has just computed."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pycaffe_lite._typing import Array

if TYPE_CHECKING:
    from pycaffe_lite.graph.params import LearnableParams
    from pycaffe_lite.graph.plan import Node

log = logging.getLogger(__name__)


def log_forward(node: Node, params: LearnableParams) -> None:
    """The data of a layer's tops, then of its learnable blobs."""
    for name, top in zip(node.top_names, node.tops, strict=True):
        log.info("    [Forward] Layer %s, top blob %s data: %g", node.name, name, _mean(top.stored("data")))
    for j, blob in enumerate(node.layer.blobs):
        name = params.names[params.place[node.index, j]]
        log.info("    [Forward] Layer %s, param blob %s data: %g", node.name, name, _mean(blob.stored("data")))


def log_backward(node: Node) -> None:
    """The gradients of the bottoms and of the learnable blobs that have one."""
    for name, bottom, wanted in zip(node.bottom_names, node.bottoms, node.propagate_down, strict=True):
        if wanted:
            log.info("    [Backward] Layer %s, bottom blob %s diff: %g", node.name, name, _mean(bottom.stored("diff")))
    for j, blob in enumerate(node.layer.blobs):
        if node.layer.param_propagate_down(j):
            log.info("    [Backward] Layer %s, param blob %d diff: %g", node.name, j, _mean(blob.stored("diff")))


def log_all_params(params: LearnableParams) -> None:
    """Norms of all learnable blobs together, after a whole backward pass."""
    data, diff = [blob.stored("data") for blob in params.blobs], [blob.stored("diff") for blob in params.blobs]
    log.info(
        "    [Backward] All net params (data, diff): L1 norm = (%g, %g); L2 norm = (%g, %g)",
        *(sum(_sum(array) for array in arrays) for arrays in (data, diff)),
        *(math.sqrt(sum(_squares(array) for array in arrays)) for arrays in (data, diff)),
    )


def means(params: LearnableParams) -> list[float]:
    """Of the learnable blobs' data."""
    return [_mean(blob.stored("data")) for blob in params.blobs]


def log_update(nodes: Sequence[Node], params: LearnableParams, before: Sequence[float]) -> None:
    """The weights as they were `before` an update, see `means`, and the update, which is in their diffs."""
    for node in nodes:
        for j, blob in enumerate(node.layer.blobs):
            place = params.place[node.index, j]
            name, diff = params.names[place], _mean(blob.stored("diff"))
            owner, _ = params.owner_of[place]
            if params.owner_of[place] == (node.index, j):
                log.info("    [Update] Layer %s, param %s data: %g; diff: %g", node.name, name, before[place], diff)
            else:
                log.info(
                    "    [Update] Layer %s, param blob %s (owned by layer %s, param %s) diff: %g",
                    node.name,
                    name,
                    nodes[owner].name,
                    name,
                    diff,
                )


def _sum(array: Array) -> float:
    return float(np.abs(array).sum(dtype=np.float64))


def _squares(array: Array) -> float:
    flat = array.astype(np.float64).ravel()
    return float(np.dot(flat, flat))


def _mean(array: Array) -> float:
    return _sum(array) / max(array.size, 1)
