"""Seeds: one per net, from which each layer's generator is derived by the layer's name."""

from __future__ import annotations

import os
import zlib

import numpy as np

_seed: int | None = None


def set_random_seed(seed: int) -> None:
    """Seed the nets made from now on (pycaffe's set_random_seed). The numbers are not Caffe's, but always the same."""
    global _seed
    _seed = int(seed)


def new_seed() -> int:
    """The seed given to set_random_seed, or a fresh one."""
    return int.from_bytes(os.urandom(8), "big") >> 1 if _seed is None else _seed


def generator(seed: int, name: str, before: int = 0) -> np.random.Generator:
    """The generator of one layer of a net, of a name that so many layers before it have."""
    further = [before] if before else []
    return np.random.default_rng([int(seed) & (2**64 - 1), zlib.crc32(name.encode()), *further])
