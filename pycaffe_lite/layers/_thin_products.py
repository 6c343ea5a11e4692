"""Products of a large matrix W with few vectors, which take as long as W takes to be fetched from memory.

A BLAS copies its factors into an order of its own before it multiplies them. That pays where each number is used often;
with few vectors the copy of W takes longer than the product. OpenBLAS, which numpy brings, multiplies without a copy
where there are no more than a million multiply-adds: hence W's rows in blocks of so many.
"""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._geometry import Scratch

WITHOUT_COPY = 1_000_000  # multiply-adds
MOST_VECTORS = 12
"""Up to which blocks pay. W (4096, 4096), one thread, ms, whole and in blocks: W x of 2 vectors 12.4 and 5.9, of 12
18.6 and 12.3, of 20 17 and 20; dy W of 2 20 and 8, of 12 30 and 14, of 20 33 and 31.
"""
LEAST_ROWS, MOST_ROWS = 8, 24  # of a block; MOST_ROWS where sums of blocks are added up: those stay in a cache


def times_columns(w: Array, x: Array, out: Array) -> None:
    """Set out (N, M) to w (N, K) x (K, M); out is C-contiguous."""
    rows = _rows(w, x.shape[1])
    if not rows:
        np.dot(w, x, out=out)
        return
    blocks = len(w) // rows
    whole = blocks * rows
    np.matmul(w[:whole].reshape(blocks, rows, -1), x, out=out[:whole].reshape(blocks, rows, -1))
    if whole < len(w):
        np.dot(w[whole:], x, out=out[whole:])


def rows_times(dy: Array, w: Array, out: Array, scratch: Scratch) -> None:
    """Set out (M, K) to dy (M, N) w (N, K); out is C-contiguous."""
    rows = min(MOST_ROWS, _rows(w, len(dy)))
    if not rows:
        np.dot(dy, w, out=out)
        return
    np.dot(dy[:, :rows], w[:rows], out=out)
    product = scratch("product of a block", out.shape, out.dtype)
    for i in range(rows, len(w), rows):
        out += np.dot(dy[:, i : i + rows], w[i : i + rows], out=product)


def _rows(w: Array, vectors: int) -> int:
    """How many rows of W a block has; 0 where the product is better made as a whole."""
    if not 1 < vectors <= MOST_VECTORS or not w.flags.c_contiguous:
        return 0
    rows = WITHOUT_COPY // max(1, vectors * w.shape[1])
    return rows if LEAST_ROWS <= rows < len(w) else 0
