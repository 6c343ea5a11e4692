from __future__ import annotations

import itertools

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.layers import _pool_flat, _window
from pycaffe_lite.layers._window import LOWEST, PoolGeometry
from tests.layers.test__im2col import Scratch


def test_overlapping_windows_are_looked_at_flat() -> None:
    assert _pool_flat.suits(PoolGeometry((3, 3), (2, 2), (0, 0)))
    assert _pool_flat.suits(PoolGeometry((2, 3), (2, 2), (1, 1)))
    assert not _pool_flat.suits(PoolGeometry((2, 2), (2, 2), (0, 0)))
    assert not _pool_flat.suits(PoolGeometry((16, 16), (1, 1), (0, 0)))


def windows(g: PoolGeometry, spatial: tuple[int, ...], output: tuple[int, ...]) -> dict[tuple[int, int], Array]:
    """For each window: the weight 1 / area at all places that it sees, none outside the data."""
    seen = {}
    for o, p in itertools.product(*map(range, output)):
        start = (o * g.stride[0] - g.pad[0], p * g.stride[1] - g.pad[1])
        stop = [min(a + k, n + q) for a, k, n, q in zip(start, g.kernel, spatial, g.pad, strict=True)]
        weight = np.zeros(spatial)
        weight[tuple(slice(max(a, 0), max(b, 0)) for a, b in zip(start, stop, strict=True))] = 1
        seen[o, p] = weight / max(1, (stop[0] - start[0]) * (stop[1] - start[1]))
    return seen


def random_case(seed: int) -> tuple[np.random.Generator, PoolGeometry, tuple[int, ...], tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    stride = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    pad = (int(rng.integers(0, kernel[0])), int(rng.integers(0, kernel[1]))) if seed % 2 else (0, 0)
    g = PoolGeometry(kernel, stride, pad, ceil=seed % 3 > 0)
    spatial = (kernel[0] + int(rng.integers(0, 7)), kernel[1] + int(rng.integers(0, 7)))
    return rng, g, (int(rng.integers(1, 4)), int(rng.integers(1, 4)), *spatial), g.output_shape(spatial)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("seed", range(80))
def test_maxima_are_the_first_of_their_windows(seed: int, flat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, g, shape, output = random_case(seed)
    monkeypatch.setattr(_window, "TILE_BYTES", int(10 ** rng.uniform(0, 4)))
    monkeypatch.setattr(_pool_flat, "TILE_BYTES", int(10 ** rng.uniform(0, 4)))
    monkeypatch.setattr(_pool_flat, "suits", lambda geometry: flat)
    x = rng.integers(-3, 4, shape).astype(float)
    if seed % 5 == 1:
        x[rng.random(shape) < 0.4] = np.nan
    if seed % 5 == 2:
        x[rng.random(shape) < 0.4] = -np.inf
    y, mask = np.full((*shape[:2], *output), LOWEST), np.full((*shape[:2], *output), -1)
    for (o, p), weight in windows(g, shape[2:], output).items():
        for n, c, h, w in zip(*np.nonzero(np.broadcast_to(weight, shape)), strict=True):
            if x[n, c, h, w] > y[n, c, o, p]:
                y[n, c, o, p], mask[n, c, o, p] = x[n, c, h, w], h * shape[3] + w

    scratch, got = Scratch(), np.full_like(y, np.nan)
    winner = np.full(y.shape, 77, (np.uint8, np.uint16, np.int64)[seed % 3])
    _window.max_pool_forward(x, got, winner, g, scratch)
    np.testing.assert_array_equal(got, y)
    np.testing.assert_array_equal(_window.max_pool_mask(winner, g, shape[2:]), mask)
    got.fill(np.nan)
    _window.max_pool_forward(x, got, None, g, scratch)
    np.testing.assert_array_equal(got, y)

    dy, dx, wanted = rng.normal(size=y.shape), np.full_like(x, np.nan), np.zeros(shape)
    _window.max_pool_backward(dy, winner, dx, g, scratch)
    for n, c, o, p in zip(*np.nonzero(mask >= 0), strict=True):
        wanted[n, c].reshape(-1)[mask[n, c, o, p]] += dy[n, c, o, p]
    np.testing.assert_allclose(dx, wanted, atol=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_averages_are_over_caffes_area(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, g, shape, output = random_case(seed)
    monkeypatch.setattr(_window, "TILE_BYTES", int(10 ** rng.uniform(0, 4)))
    x, dy = rng.normal(size=shape), rng.normal(size=(*shape[:2], *output))
    y, dx, wanted_dx = np.full_like(dy, np.nan), np.full_like(x, np.nan), np.zeros(shape)
    scratch = Scratch()
    _window.ave_pool_forward(x, y, g, scratch)
    _window.ave_pool_backward(dy, dx, g, scratch)
    for (o, p), weight in windows(g, shape[2:], output).items():
        np.testing.assert_allclose(y[:, :, o, p], (x * weight).sum(axis=(2, 3)), atol=1e-12)
        wanted_dx += dy[:, :, o, p, np.newaxis, np.newaxis] * weight
    np.testing.assert_allclose(dx, wanted_dx, atol=1e-12)


def test_float32_and_scratch_that_is_kept() -> None:
    g, scratch = PoolGeometry((3, 3), (2, 2), (0, 0)), Scratch()
    x = np.random.default_rng(3).normal(size=(50, 20, 24, 23)).astype(np.float32)
    y = np.empty((50, 20, *g.output_shape((24, 23))), np.float32)
    winner, dx = np.empty(y.shape, np.uint8), np.empty_like(x)
    for _ in range(2):
        made = scratch.made
        _window.max_pool_forward(x, y, winner, g, scratch)
        _window.max_pool_backward(y, winner, dx, g, scratch)
    assert scratch.made == made
    np.testing.assert_allclose(dx.sum(dtype=float), y.sum(dtype=float), rtol=1e-6)
    assert y[7, 5, 3, 4] == x[7, 5, 6:9, 8:11].max()
