from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pycaffe_lite import threads
from pycaffe_lite.layers import _thin_products
from pycaffe_lite.layers._thin_products import rows_times, times_columns


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.full(shape, np.nan, dtype)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("vectors", [1, 2, 5, 12, 13])
@pytest.mark.parametrize(
    ("n", "k", "without_copy", "rows"),
    [(40, 7, 700, 10), (43, 7, 700, 10), (43, 7, 10**6, 0), (43, 70, 700, 0), (101, 3, 3000, 100), (9, 5, 0, 0)],
)
def test_products_in_blocks_of_rows(
    n: int, k: int, without_copy: int, rows: int, vectors: int, transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rows`: of a block, for ten vectors."""
    monkeypatch.setattr(_thin_products, "WITHOUT_COPY", without_copy)
    rng = np.random.default_rng(n)
    w = rng.normal(size=(k, n)).T if transposed else rng.normal(size=(n, k))
    assert _thin_products.rows((n, k), 10) == rows
    x, dy = rng.normal(size=(vectors, k)), rng.normal(size=(vectors, n))
    for columns in (x.T, np.ascontiguousarray(x.T)):
        y = np.full((n, vectors), np.nan)
        times_columns(w, columns, y)
        np.testing.assert_allclose(y, np.einsum("nk,mk->nm", w, x), atol=1e-12)
    dx = np.full((vectors, k), np.nan)
    rows_times(dy, w, dx, scratch)
    np.testing.assert_allclose(dx, np.einsum("mn,nk->mk", dy, w), atol=1e-12)


def test_blocks_need_several_vectors_but_not_many() -> None:
    assert [bool(_thin_products.rows((5000, 5000), vectors)) for vectors in (0, 1, 2, 12, 13)] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_as_many_threads_as_there_may_be_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LEAST", 1)
    monkeypatch.setattr(_thin_products, "WITHOUT_COPY", 50000)
    rng = np.random.default_rng(0)
    w, x, dy = (rng.random(shape, np.float32) for shape in ((903, 501), (7, 501), (7, 903)))
    results = []
    for number in (1, 2, 3):
        monkeypatch.setattr(threads, "_chosen", number)
        y, dx = np.empty((903, 7), np.float32), np.empty((7, 501), np.float32)
        times_columns(w, x.T, y)
        rows_times(dy, w, dx, scratch)
        results.append((y, dx))
    for others in results[1:]:
        for got, wanted in zip(others, results[0], strict=True):
            np.testing.assert_array_equal(got, wanted)
