"""From gradients to new weights: clip, normalise, regularise and update, the second half of a solver's step.

All arithmetic is in place, on the net's flat data, diff and histories, across blobs where that makes no difference:
block by block, so that a block's numbers stay in the processor's cache while they go through regularisation and update.
"""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pycaffe_lite import threads
from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.memory import aligned
from pycaffe_lite.net import Net
from pycaffe_lite.storage import Storage

log = logging.getLogger(__name__)

BLOCK, BLOCK_OF_SEVERAL = 32768, 65536
"""Numbers in a block, for one thread and for several: 128 KiB in each of the four or five arrays that an update
touches; twice as much where threads wait for the interpreter between their calls. Measured on two cores, they update
0.4 million weights 1.3 times as fast as one, 10 million 1.7 times, and 0.15 million no faster.
"""
ENGINE_BLOCK = 1 << 17
"""For each thread of an engine's steps, which meet at the end of each: 512 KiB in each of three arrays. Against blocks
of a million and more, one thread updates 0.4 million weights in 0.25 ms and not in 0.30, 25 million in 27.6 and not in
30; two 5 million in 1.6 ms and not in 1.8.
"""
FEW = 1024
"""Numbers that are sooner copied than it is noted that they will be."""


@dataclass(eq=False)
class Block:
    """Numbers that follow each other in memory, of blobs with the same multipliers."""

    weights: Array
    diff: Array
    history: tuple[Array, ...]
    lr_mult: float
    decay_mult: float
    kept: Any = None
    """What a solver keeps with it."""


Step = Callable[[Block, float, float, Array], Array]
"""Updates the weights of a block: (block, rate, weight decay, as much memory again); returns what was subtracted."""


class Parameters:
    """A net's learnable blobs as a solver sees them, with its memory of them.

    `histories` is how many numbers the solver remembers for each weight.
    """

    def __init__(self, net: Net, histories: int) -> None:
        self._learnable = net.learnable
        self._diff = net.learnable.diff.array()
        self._histories = [Storage(net.dtype, net.learnable.diff.count).array() for _ in range(histories)]
        self._velocities = [v.reshape(-1) for v in self.history[: len(net.learnable.blobs)]]
        """The first of what the solver remembers, blob by blob: of SGD what it has subtracted last."""
        self._blocks: list[Block] = []
        self._size, self._seen = 0, -1
        """Of the blocks; and the Blob.changes that they were cut at."""
        self._scratches: dict[int, Array] = {}
        """Room for a block's numbers, by thread."""
        self._weights: list[Array] = []
        """The arrays that the blocks' weights are parts of; another net's where these are shared."""
        self._others: list[Blob] = []
        """Blobs whose weights are another net's."""

    @property
    def history(self) -> list[Array]:
        """What the solver remembers, shaped as the blobs, in the order of solver states: all firsts, all seconds."""
        blobs, ends = self._learnable.blobs, self._learnable.ends()
        return [
            flat[end - blob.count : end].reshape(blob.shape)
            for flat in self._histories
            for blob, end in zip(blobs, ends, strict=True)
        ]

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

    def update(self, rate: float, weight_decay: float, step: Step, at_once: bool) -> None:
        """Let each block take this step, several `at_once` in threads unless the steps have threads of their own.

        Weights that run off to infinity do so without numpy's warnings: the loss shows it. The blobs' diffs are what
        was subtracted, from then on; arrays that somebody kept, once LearnableParams.settle_diffs is called.
        """
        count = threads.num_threads()
        size = ENGINE_BLOCK * count if not at_once else BLOCK if count == 1 else BLOCK_OF_SEVERAL
        if Blob.changes != self._seen or size != self._size:
            self._look(size)
        updates = [block.diff for block in self._blocks]

        def part(start: int, stop: int) -> None:
            scratch = self._scratch(threads.here())
            for i in range(start, stop):
                block = self._blocks[i]
                decay, free = weight_decay * block.decay_mult, scratch[: block.diff.size]
                updates[i] = step(block, rate * block.lr_mult, decay, free)

        with np.errstate(over="ignore", invalid="ignore"):
            if at_once and len(self._blocks) > 1:
                threads.in_parts(part, len(self._blocks), self._diff.nbytes // 2)
            else:
                part(0, len(self._blocks))
        self._learnable.data.note_writing()
        for blob in self._others:
            blob.note_writing()
        self._let_diff_be(updates)

    def _look(self, size: int) -> None:
        """Find out where the weights are now, and cut them into blocks of this size, unless it is all as before."""
        self._seen, weights = Blob.changes, [blob.stored("data") for blob in self._learnable.blobs]
        others = len(weights) != len(self._weights) or any(map(operator.is_not, weights, self._weights))
        if others or size != self._size:
            self._weights, self._size = weights, size
            self._blocks, self._scratches = list(self._cut()), {}
            self._others = [b for b in self._learnable.blobs if not b.lives_in(self._learnable.data)]

    def _let_diff_be(self, updates: Sequence[Array]) -> None:
        """Where all of them are the solver's memory, and more than a few numbers, nothing is copied until somebody asks
        for a diff.
        """
        if self._diff.size > FEW:
            for block, update in zip(self._blocks, updates, strict=True):
                if update is not block.history[0]:
                    break
            else:
                for diff, velocity in zip(self._learnable.diffs, self._velocities, strict=True):
                    diff.forget(velocity)
                return
        for block, update in zip(self._blocks, updates, strict=True):
            if update is not block.diff:
                np.copyto(block.diff, update)

    def _scratch(self, thread: int) -> Array:
        if thread not in self._scratches:
            self._scratches[thread] = aligned(min(self._size, self._diff.size), self._diff.dtype)
        return self._scratches[thread]

    def _cut(self) -> Iterator[Block]:
        """Runs of blobs with the same multipliers that follow each other in memory, in blocks."""
        for weights, first, lr_mult, decay_mult in self._runs():
            for start in range(0, weights.size, self._size):
                stop = min(start + self._size, weights.size)
                here = slice(first + start, first + stop)
                history = tuple(h[here] for h in self._histories)
                yield Block(weights[start:stop], self._diff[here], history, lr_mult, decay_mult)

    def _runs(self) -> Iterator[tuple[Array, int, float, float]]:
        """(weights, the place of the first in `diff`, lr_mult, decay_mult) of each run."""
        learnable = self._learnable
        ends, start = learnable.ends(), 0
        mults = list(zip(learnable.lr_mult, learnable.decay_mult, strict=True))
        ours = [blob.lives_in(learnable.data) for blob in learnable.blobs]
        for i, (blob, end) in enumerate(zip(learnable.blobs, ends, strict=True)):
            if not ours[i]:
                yield blob.stored("data").reshape(-1), end - blob.count, *mults[i]
                start = end
            elif i + 1 == len(ends) or not ours[i + 1] or mults[i + 1] != mults[i]:
                yield learnable.data.plain()[start:end], start, *mults[i]
                start = end


def regularise(diff: Array, weights: Array, decay: float, l1: bool, scratch: Array) -> None:
    """Add decay · w (L2), or decay · sign(w) (L1), to diff."""
    if l1:
        np.sign(weights, out=scratch)
        np.multiply(scratch, decay, out=scratch)
    else:
        np.multiply(weights, decay, out=scratch)
    np.add(diff, scratch, out=diff)
