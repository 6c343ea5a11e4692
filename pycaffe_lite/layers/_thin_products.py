"""Products of a large matrix W with few vectors, which take as long as W takes to be fetched from memory.

A BLAS copies its factors into an order of its own before it multiplies them. That pays where each number is used often;
with few vectors the copy of W takes longer than the product. OpenBLAS, which numpy brings, multiplies without a copy
where there are no more than a million multiply-adds: hence W's rows in blocks of so many.
"""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.layers._tiles import own
from pycaffe_lite.threads import in_parts

WITHOUT_COPY = 1_000_000  # multiply-adds
MOST_VECTORS = 12
"""Up to which blocks pay. W (4096, 4096), one thread, ms, whole and in blocks: W x of 2 vectors 12.4 and 5.9, of 12
18.6 and 12.3, of 20 17 and 20; dy W of 2 20 and 8, of 12 30 and 14, of 20 33 and 31.
"""
SUMS = 4
"""That are added up apart, by as many threads, and then to one another: always, so that the result is the same."""
LEAST_ROWS, MOST_ROWS = 8, 24  # of a block; MOST_ROWS where sums of blocks are added up: those stay in a cache


def times_columns(w: Array, x: Array, out: Array) -> None:
    """Set out (N, M) to w (N, K) x (K, M); out is C-contiguous."""
    at_once = _rows_of(w, x.shape[1])
    if not at_once:
        np.dot(w, x, out=out)
        return
    blocks = len(w) // at_once
    whole = blocks * at_once
    factors, products = (a[:whole].reshape(blocks, at_once, -1) for a in (w, out))

    def part(start: int, stop: int) -> None:
        np.matmul(factors[start:stop], x, out=products[start:stop])

    in_parts(part, blocks, w.nbytes, products=True)
    if whole < len(w):
        np.dot(w[whole:], x, out=out[whole:])


def rows_times(dy: Array, w: Array, out: Array, scratch: Scratch) -> None:
    """Set out (M, K) to dy (M, N) w (N, K); out is C-contiguous."""
    at_once = min(MOST_ROWS, _rows_of(w, len(dy)))
    if not at_once:
        np.dot(dy, w, out=out)
        return
    bounds = [len(w) * i // SUMS for i in range(SUMS + 1)]
    sums = scratch("sums of blocks", (SUMS - 1, *out.shape), out.dtype)

    def part(start: int, stop: int) -> None:
        product = own(scratch)("product of a block", out.shape, out.dtype)
        for i in range(start, stop):
            _add_up(dy, w, range(bounds[i], bounds[i + 1], at_once), out if i == 0 else sums[i - 1], product)

    in_parts(part, SUMS, w.nbytes, products=True)
    for others in sums:
        out += others


def _add_up(dy: Array, w: Array, starts: range, out: Array, product: Array) -> None:
    """Set out to the sum of the products with blocks of W's rows, of which no more than these."""
    for start in starts:
        block = slice(start, min(start + starts.step, starts.stop))
        np.dot(dy[:, block], w[block], out=out if start == starts.start else product)
        if start > starts.start:
            out += product


def rows(w: Shape, vectors: int) -> int:
    """How many rows of a W of this shape a block has; 0 where the product is better made as a whole."""
    n, k = w
    if not 1 < vectors <= MOST_VECTORS:
        return 0
    count = WITHOUT_COPY // max(1, vectors * k)
    return count if LEAST_ROWS <= count < n else 0


def _rows_of(w: Array, vectors: int) -> int:
    return rows(w.shape, vectors) if w.flags.c_contiguous else 0
