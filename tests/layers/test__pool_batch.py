"""Pooling along the batch gives what _window gives, which test__window holds to a plain definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.layers import _pool_2x2, _pool_batch, _window
from pycaffe_lite.layers._geometry import PoolGeometry
from tests.layers.test__im2col import Scratch
from tests.layers.test__window import random_case

Case = tuple[np.random.Generator, PoolGeometry, tuple[int, ...], tuple[int, ...]]


def batch_innermost(array: Array) -> Array:
    """The same numbers with axis 0 innermost in memory."""
    return np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0)


def case_2x2(seed: int) -> Case:
    rng, g = np.random.default_rng(seed), PoolGeometry((2, 2), (2, 2), (0, 0))
    items, channels, down, across = map(int, rng.integers(1, 5, 4))
    assert _pool_2x2.suits(g, 2 * down, 2 * across)
    assert not _pool_2x2.suits(g, 2 * down, 2 * across + 1)
    return rng, g, (items, channels, 2 * down, 2 * across), (down, across)


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", [random_case, case_2x2])
def test_maxima(case: Callable[[int], Case], seed: int, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, g, shape, output = case(seed)
    monkeypatch.setattr(_pool_batch, "TILE_BYTES", int(10 ** rng.uniform(0, 4)))
    x = rng.integers(-3, 4, shape).astype(dtype)
    if seed % 5 == 1:
        x[rng.random(shape) < 0.4] = np.nan
    if seed % 5 == 2:
        x[rng.random(shape) < 0.4] = -np.inf
    dy = rng.normal(size=(*shape[:2], *output)).astype(dtype)
    if seed % 5 == 3 and dy.size:
        dy.flat[rng.integers(dy.size)] = np.inf
    y, winner, dx = np.empty_like(dy), np.empty(dy.shape, np.uint8), np.empty_like(x)
    _window.max_pool_forward(x, y, winner, g, Scratch())
    _window.max_pool_backward(dy, winner, dx, g, Scratch())

    scratch = Scratch()
    got, got_dx = batch_innermost(np.full_like(y, np.nan)), batch_innermost(np.full_like(x, np.nan))
    won = _pool_batch.max_forward(batch_innermost(x), got, g, scratch)
    np.testing.assert_array_equal(got, y)
    assert won or seed % 5 in (1, 2) or not winner.all()
    assert winner.all() or not won
    _pool_batch.max_backward(batch_innermost(dy), got_dx, won, g, scratch)
    np.testing.assert_allclose(got_dx, dx, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_averages(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, g, shape, output = random_case(seed)
    monkeypatch.setattr(_pool_batch, "TILE_BYTES", int(10 ** rng.uniform(0, 4)))
    x, dy = rng.normal(size=shape), rng.normal(size=(*shape[:2], *output))
    y, dx = np.empty_like(dy), np.empty_like(x)
    _window.ave_pool_forward(x, y, g, Scratch())
    _window.ave_pool_backward(dy, dx, g, Scratch())
    got, got_dx = batch_innermost(np.full_like(y, np.nan)), batch_innermost(np.full_like(x, np.nan))
    _pool_batch.ave_forward(batch_innermost(x), got, g, Scratch())
    _pool_batch.ave_backward(batch_innermost(dy), got_dx, g, Scratch())
    np.testing.assert_allclose(got, y, rtol=1e-12, atol=1e-15)  # one window is summed up at once there
    np.testing.assert_array_equal(got_dx, dx)
