from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pycaffe_lite._statistics import statistics


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [2, 16384, 16385, 50001])
def test_it_agrees_with_numpy(dtype: type, count: int) -> None:
    a = np.random.default_rng(1).normal(-3, 2, count).astype(dtype)
    found = statistics(a)
    wide = a.astype(np.float64)
    assert (found.finite, found.nan, found.inf) == (count, 0, 0)
    assert (found.low, found.high) == (wide.min(), wide.max())
    np.testing.assert_allclose(
        [found.mean, found.std, found.mean_abs], [wide.mean(), wide.std(), np.abs(wide).mean()], rtol=1e-12
    )


def test_a_small_spread_around_a_large_mean_does_not_cancel() -> None:
    a = 1e8 + np.random.default_rng(2).normal(0, 1e-3, 40000)
    assert statistics(a).std == pytest.approx(a.std(), rel=1e-6)


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    a = np.zeros((3, 20000), np.float32)
    a[0, :4] = np.nan
    a[2, -3:] = np.inf, -np.inf, np.nan
    a[1, 5] = 7
    found = statistics(a)
    assert (found.nan, found.inf, found.finite) == (5, 2, 60000 - 7)
    assert (found.low, found.high) == (0, 7)
    assert found.mean == pytest.approx(7 / found.finite)


@pytest.mark.parametrize("values", [[], [np.nan, np.inf]])
def test_nothing_finite_has_no_spread(values: list[float]) -> None:
    found = statistics(np.array(values))
    assert (found.finite, found.std) == (0, 0.0)


def test_numbers_near_the_end_of_float64_warn_of_nothing() -> None:
    found = statistics(np.full(5, 1e308))
    assert (found.finite, found.inf, found.high) == (5, 0, 1e308)


def test_no_copy_of_the_array_is_made() -> None:
    a = np.ones(4_000_000, np.float32)
    tracemalloc.start()
    statistics(a)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < a.nbytes / 10
