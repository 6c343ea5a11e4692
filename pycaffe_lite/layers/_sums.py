"""Sums of many numbers, whose rounding hardly grows with how many there are.

numpy adds up pairwise only what lies side by side, and all else one number to another, as einsum does everywhere: of a
million numbers 0.1 in rows of two, the sums are off by a hundredth of themselves. Here M rows are laid side by side,
about √M at once, so that no sum is longer than that. That is faster, too: by 2 to 40 times where rows are short.
"""

from __future__ import annotations

import math

import numpy as np

from pycaffe_lite._typing import Array, Shape

MANY = 1024  # numbers that are not simply added up
RUN = 2048  # products that einsum adds up, in a few sums side by side
ROOM = 1 << 17  # sums side by side that a core's cache holds


def sum_over(axes: Shape, *factors: Array, out: Array | None = None) -> Array:
    """Σ a, or Σ a b of two arrays, over these axes; the shape is that of the others. Written to `out` if that is given.

    Blobs in any Order, two of them in the same; of arrays that lie otherwise the sum is as numpy makes it.
    """
    a = factors[0]
    if a.size <= MANY and len(factors) == 1:  # two calls more take as long as the sum itself
        return np.add.reduce(a, axis=axes, out=out)
    if a.size <= MANY or math.prod([a.shape[i] for i in axes]) <= MANY:
        return _by_numpy(axes, *factors, out=out)
    kept = [i for i in range(a.ndim) if i not in axes]
    inner = _innermost(a, axes)
    outer = [i for i in axes if i not in inner]
    order = [*outer, *kept, *inner]
    if not all(f.transpose(order).flags.c_contiguous for f in factors):
        return _by_numpy(axes, *factors, out=out)
    shape = [math.prod([a.shape[i] for i in some]) for some in (outer, kept, inner)]
    grouped = [f.transpose(order).reshape(shape) for f in factors]
    rows = [_of_neighbours(*grouped)] if inner else [f[:, :, 0] for f in grouped]
    total: Array = _of_rows(*rows).reshape([a.shape[i] for i in kept])
    if out is None:
        return total
    out[...] = total
    return out


def _by_numpy(axes: Shape, *factors: Array, out: Array | None) -> Array:
    if len(factors) == 1:
        return np.add.reduce(factors[0], axis=axes, out=out)
    every = range(factors[0].ndim)
    total: Array = np.einsum(factors[0], every, factors[1], every, [i for i in every if i not in axes], out=out)
    return total


def _innermost(a: Array, axes: Shape) -> list[int]:
    """Those of the axes along which numbers lie side by side, in the order of memory."""
    inner: list[int] = []
    for i in sorted(range(a.ndim), key=lambda i: a.strides[i]):
        if i in axes:
            inner.insert(0, i)
        elif a.shape[i] > 1:
            break
    return inner


def _of_neighbours(*factors: Array) -> Array:
    """Σ over the last axis."""
    if len(factors) == 1:
        total: Array = factors[0].sum(axis=-1)
        return total
    *shape, n = factors[0].shape
    runs = 1 + n // RUN
    whole = n // runs * runs
    in_runs = (f[..., :whole].reshape(*shape, runs, whole // runs) for f in factors)
    total = np.einsum("...i,...i->...", *in_runs).sum(axis=-1)
    if whole < n:
        total += np.einsum("...i,...i->...", *(f[..., whole:] for f in factors))
    return total


def _of_rows(*factors: Array) -> Array:
    """Σ over the first of two axes."""
    how = "ij->j" if len(factors) == 1 else "ij,ij->j"
    m, n = factors[0].shape
    wide = max(1, min(math.isqrt(m), ROOM // max(1, n)))
    whole = m // wide * wide
    side_by_side = (f[:whole].reshape(whole // wide, wide * n) for f in factors)
    total: Array = np.einsum(how, *side_by_side).reshape(wide, n).sum(axis=0)
    if whole < m:
        total += np.einsum(how, *(f[whole:] for f in factors))
    return total
