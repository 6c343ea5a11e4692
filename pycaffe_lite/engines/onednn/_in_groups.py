"""Gradients of W and of the biases, sums over the places of all images, a few images at a time.

oneDNN adds one place after the other to what there is, so that rounding grows with their number: of 400,000 random
numbers from 0 to 1 and as many others, a sum of products was off by 4e-5 of itself. In groups of MOST_PLACES it is off
by 3e-6, and not slower, as caches hold a group.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Called, Done
from pycaffe_lite.engines.onednn._arrays import FLOAT, Adaptive
from pycaffe_lite.layers._geometry import Scratch

MOST_PLACES = 1 << 16
LEAST_PLACES = 1 << 12
"""Of a group: those of less take too long to begin."""


def group_of(images: Shape) -> int:
    """How many images of this shape are to be added up at a time; all groups are of equal size."""
    num, places = images[0], math.prod(images[2:])
    sizes = range(max(1, min(num, MOST_PLACES // places)), 0, -1)
    return next((n for n in sizes if num % n == 0 and n * places >= LEAST_PLACES), num)


class InGroups:
    """What computes gradients of W and of the biases for a group of images, run for all groups: as Adaptive."""

    def __init__(self, run: Adaptive, images: int) -> None:
        self._run, self._images, self.arguments = run, images, run.arguments

    def adapted(self, scratch: Scratch, *arrays: Array) -> Done:
        run = functools.partial(self._add_up, scratch)
        run(*arrays)
        return Called(run, *arrays)

    def _add_up(self, scratch: Scratch, x: Array, *others: Array) -> None:
        *sums, dy = others
        addends = [scratch(f"addend {j}", array.shape, FLOAT) for j, array in enumerate(sums)]
        for first in range(0, len(x), self._images):
            group = slice(first, first + self._images)
            self._run.adapted(scratch, x[group], *(addends if first else sums), dy[group])
            if first:
                for whole, addend in zip(sums, addends, strict=True):
                    np.add(whole, addend, out=whole)
