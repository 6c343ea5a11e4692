"""Seeds: one per net, from which each layer's generator is derived by the layer's name."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field

import numpy as np

_seed: int | None = None
_nets = 0
"""That were made since."""
restarts = 0
"""How often set_random_seed was called."""


def set_random_seed(seed: int) -> None:
    """Seed all random numbers from now on (pycaffe's set_random_seed): those of the nets that there are begin anew, and
    each net made is another one, the same in every process. The numbers are not Caffe's.
    """
    global _seed, _nets, restarts
    _seed, _nets, restarts = int(seed), 0, restarts + 1


def new_seed() -> int:
    """For a new net: derived from set_random_seed's, which the first net has itself, or fresh."""
    global _nets
    if _seed is None:
        return int.from_bytes(os.urandom(8), "big") >> 1
    number, _nets = _nets, _nets + 1
    return int(generator(_seed, f"net {number}").integers(2**63)) if number else _seed


def generator(seed: int, name: str, before: int = 0) -> np.random.Generator:
    """The generator of one layer of a net, of a name that so many layers before it have."""
    further = [before] if before else []
    return np.random.default_rng([int(seed) & (2**64 - 1), zlib.crc32(name.encode()), *further])


@dataclass
class Source:
    """Makes that generator: of the net's seed, or where set_random_seed was called since, of its."""

    seed: int
    name: str
    before: int
    _restarts: int = field(default_factory=lambda: restarts)

    def __call__(self) -> np.random.Generator:
        seed = self.seed if self._restarts == restarts or _seed is None else _seed
        return generator(seed, self.name, self.before)
