"""From gradients to new weights: clip, normalise, regularise and update, the second half of a solver's step.

All arithmetic is in place, on the net's flat diff and flat histories, block by block, so that a block's numbers stay in
the processor's cache while they go through regularisation and update.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.net import Net
from pycaffe_lite.storage import Storage

log = logging.getLogger(__name__)

Compute = Callable[[Array, "tuple[Array, ...]", float, Array], None]
"""A solver's formula: (diff, history, rate, scratch), see Solver._compute_update."""

BLOCK = 32768
"""Numbers in a block: 128 KiB in each of the four or five arrays that an update touches."""


class _Block(NamedTuple):
    """A part of one learnable blob: where it lies in the blob, and views of everything else that belongs to it."""

    place: slice
    diff: Array
    history: tuple[Array, ...]
    scratch: Array


class Parameters:
    """A net's learnable blobs as a solver sees them, with its memory of them.

    `histories` is how many numbers the solver remembers for each weight.
    """

    def __init__(self, net: Net, histories: int) -> None:
        self._learnable = net.learnable
        self._diff = net.learnable.diff.array()
        self._histories = [Storage(net.dtype, net.learnable.diff.count).array() for _ in range(histories)]
        scratch = np.empty(min(BLOCK, max((b.count for b in net.learnable.blobs), default=0)), self._diff.dtype)
        self._blocks: list[list[_Block]] = []
        self._history: list[list[Array]] = [[] for _ in range(histories)]
        offset = 0
        for blob in net.learnable.blobs:
            blocks = []
            for start in range(0, blob.count, BLOCK):
                stop = min(start + BLOCK, blob.count)
                part = slice(offset + start, offset + stop)
                blocks.append(
                    _Block(
                        slice(start, stop),
                        self._diff[part],
                        tuple(h[part] for h in self._histories),
                        scratch[: stop - start],
                    )
                )
            for shaped, flat in zip(self._history, self._histories, strict=True):
                shaped.append(flat[offset : offset + blob.count].reshape(blob.shape))
            self._blocks.append(blocks)
            offset += blob.count

    @property
    def history(self) -> list[Array]:
        """What the solver remembers, shaped as the blobs, in the order of solver states: all firsts, all seconds."""
        return [array for shaped in self._history for array in shaped]

    def clip(self, limit: float) -> None:
        """Scale all gradients down so that their L2 norm, taken over all of them together, is at most `limit`."""
        norm = math.sqrt(float(np.dot(self._diff, self._diff)))
        if norm > limit:
            scale = limit / norm
            log.info(
                "Gradient clipping: scaling down gradients (L2 norm %g > %g) by scale factor %g", norm, limit, scale
            )
            self._diff *= scale

    def normalise(self, passes: int) -> None:
        """Make means of gradients that were summed over so many passes."""
        if passes != 1:
            self._diff *= 1 / passes

    def update(self, rate: float, weight_decay: float, l1: bool, compute: Compute) -> None:
        """Add the regularisation's gradients, compute the updates, which `diff` keeps, and subtract them.

        Weights that run off to infinity do so without numpy's warnings: the loss shows it.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            self._update(rate, weight_decay, l1, compute)

    def _update(self, rate: float, weight_decay: float, l1: bool, compute: Compute) -> None:
        learnable = self._learnable
        for blob, blocks, lr_mult, decay_mult in zip(
            learnable.blobs, self._blocks, learnable.lr_mult, learnable.decay_mult, strict=True
        ):
            data = blob.data.reshape(-1)
            decay = weight_decay * decay_mult
            for block in blocks:
                weights = data[block.place]
                if decay:
                    _regularise(block.diff, weights, decay, l1, block.scratch)
                compute(block.diff, block.history, rate * lr_mult, block.scratch)
                weights -= block.diff


def _regularise(diff: Array, weights: Array, decay: float, l1: bool, scratch: Array) -> None:
    """Diff += decay · w (L2) or decay · sign(w) (L1)"""
    if l1:
        np.sign(weights, out=scratch)
        np.multiply(scratch, decay, out=scratch)
    else:
        np.multiply(weights, decay, out=scratch)
    diff += scratch
