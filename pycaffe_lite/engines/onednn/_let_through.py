"""Which numbers the ReLU in a normalization let through, in the library's own notes.

The normalization's backward pass reads them in place of ReLU's own pass over the gradient. What that would write, 0
where nothing was let through, is only made for somebody who looks at the gradient, perhaps after the next forward pass:
so there are two memories for notes, and a forward pass leaves alone the one that a gradient may still need.
"""

from __future__ import annotations

import functools

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn._normalization import GIVEN_STATISTICS, RELU, Normalization, standard
from pycaffe_lite.layers._geometry import Scratch

MASK = GIVEN_STATISTICS | RELU
"""What a Normalization is to be made for, with an epsilon of 0, whose backward pass masks a gradient."""


class LetThrough:
    """Of a layer's last forward pass."""

    def __init__(self) -> None:
        self._last, self._needed = 0, 1
        """Which memory forward wrote last, and which one a gradient may still need."""
        self._written: Array | None = None
        self._mask: Normalization
        self._state: int | None = None

    def memory(self, mask: Normalization, scratch: Scratch) -> Array:
        """For a forward pass to write its notes into, which `mask`, made for MASK, reads as that pass does."""
        self._last, self._mask = 1 - self._needed, mask
        self._state, self._written = None, scratch(f"let through {self._last}", (mask.workspace,), np.uint8)
        return self._written

    def remember(self, y: Blob) -> None:
        """That the notes are of this top as it is now."""
        self._state = y.written("data")

    def notes(self, y: Blob) -> list[Array]:
        """The one memory with notes of this top as it is now, if there is one."""
        if self._written is None or self._state is None or y.written("data") != self._state:
            return []
        return [self._written]

    def leave_to_mask(self, y: Blob) -> bool:
        """Whether the top's gradient now counts as 0 where nothing was let through."""
        if self._written is None or not y.leave_unfinished(functools.partial(_masked, self._written, self._mask)):
            return False
        self._needed = self._last
        return True


def _masked(notes: Array, passes: Normalization, dy: Array) -> Array:
    """dy, (N, places, C), with 0 where nothing was let through: the gradient of a normalization by 0 and 1."""
    masked = np.empty_like(dy)
    passes.backward(masked, dy, dy, *standard(dy.shape[-1]), notes)
    return masked
