from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers import _im2col, _im2col_batch, _im2col_tiles, _image_rows, _overlap
from pycaffe_lite.layers._im2col import Geometry


class Scratch:
    """Keeps arrays as a layer does, with nonsense in them when new, and counts how many it had to make."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.made = 0

    def __call__(self, name: str, shape: Shape, dtype: npt.DTypeLike) -> Array:
        array = self.arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            nonsense = np.nan if np.issubdtype(dtype, np.floating) else 1
            array = self.arrays[name] = np.full(shape, nonsense, dtype)
            self.made += 1
        return array


def naive(x: Array, w: Array, g: Geometry) -> Array:
    """The sum in the definition of convolution, output place by output place."""
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in g.pad)])
    y = np.zeros((len(x), len(w), *g.output_shape(x.shape[2:])))
    per_group = len(w) // g.group
    for m in range(len(w)):
        first = m // per_group * w.shape[1]
        for place in itertools.product(*map(range, y.shape[2:])):
            window = tuple(
                slice(o * s, o * s + e, d) for o, s, e, d in zip(place, g.stride, g.extent, g.dilation, strict=True)
            )
            seen = padded[(slice(None), slice(first, first + w.shape[1]), *window)]
            y[(slice(None), m, *place)] = (seen * w[m]).reshape(len(x), -1).sum(axis=1)
    return y


def random_case(rng: np.random.Generator, pointwise: bool) -> tuple[Geometry, Array, Array, Array]:
    axes = int(rng.integers(1, 4))

    def numbers(low: int, high: int) -> Shape:
        return tuple(int(n) for n in rng.integers(low, high, axes))

    g = Geometry(numbers(1, 4), numbers(1, 4), numbers(0, 4), numbers(1, 3), int(rng.integers(1, 3)))
    if pointwise:
        g = Geometry((1,) * axes, (1,) * axes, (0,) * axes, (1,) * axes, g.group)
    spatial = tuple(e + int(rng.integers(0, 6)) for e in g.extent)
    channels, outputs = g.group * int(rng.integers(1, 4)), g.group * int(rng.integers(1, 4))
    x = rng.normal(size=(int(rng.integers(1, 8)), channels, *spatial))
    return g, x, rng.normal(size=(outputs, channels // g.group, *g.kernel)), rng.normal(size=outputs)


@pytest.fixture(params=["images", "batch", "batch, parts added one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every convolution goes the one way or, where it can, the other."""
    monkeypatch.setattr(_overlap, "MIN_RUN", 1 if request.param == "batch" else 10**9)
    monkeypatch.setattr(_im2col_batch, "MAX_PLACES", 0 if request.param == "images" else 10**9)
    monkeypatch.setattr(_im2col_batch, "MIN_DEPTH", 1)
    monkeypatch.setattr(_im2col_batch, "MIN_ALL_COLUMNS", 1)
    monkeypatch.setattr(_im2col_batch, "PRODUCTS_BYTES", 1 << 10)
    monkeypatch.setattr(_image_rows, "MIN_COLUMNS", 1)
    monkeypatch.setattr(_im2col, "MIN_PLACES", 1)
    return str(request.param)


@pytest.mark.parametrize("seed", range(60))
def test_agrees_with_the_definition(seed: int, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    g, x, w, b = random_case(rng, pointwise=seed % 10 == 0)
    # Tiles of one row up to tiles of all.
    tile = int(10 ** rng.uniform(0, 5))
    monkeypatch.setattr(_im2col, "TILE_BYTES", tile)
    monkeypatch.setattr(_image_rows, "TILE_BYTES", tile)
    scratch = Scratch()
    wanted = naive(x, w, g)
    y = np.full_like(wanted, np.nan)
    _im2col.conv_forward(x, w, b, y, g, scratch)
    np.testing.assert_allclose(y, wanted + b.reshape(-1, *[1] * (x.ndim - 2)), atol=1e-12)
    _im2col.conv_forward(x, w, None, y, g, scratch)
    np.testing.assert_allclose(y, wanted, atol=1e-12)

    # y is linear in x and in w, so that a gradient is right when it gives y's change along any direction.
    dy, dx = rng.normal(size=y.shape), np.full_like(x, np.nan)
    _im2col.conv_backward_data(dy, w, dx, g, scratch)
    dw, db = np.ones_like(w), np.ones_like(b)
    _im2col.conv_backward_weight(x, dy, dw, db, g, scratch)
    for _ in range(2):
        other_x, other_w = rng.normal(size=x.shape), rng.normal(size=w.shape)
        np.testing.assert_allclose((dx * other_x).sum(), (dy * naive(other_x, w, g)).sum(), atol=1e-10)
        np.testing.assert_allclose(((dw - 1) * other_w).sum(), (dy * naive(x, other_w, g)).sum(), atol=1e-10)
    np.testing.assert_allclose(db - 1, dy.sum(axis=(0, *range(2, dy.ndim))), atol=1e-12)

    only_dw, only_db = np.ones_like(w), np.ones_like(b)
    _im2col.conv_backward_weight(x, dy, only_dw, None, g, scratch)
    _im2col.conv_backward_weight(x, dy, None, only_db, g, scratch)
    np.testing.assert_allclose(only_dw, dw, atol=1e-12)
    np.testing.assert_allclose(only_db, db, atol=1e-12)


def test_both_ways_are_taken() -> None:
    def suits(w_shape: Shape, y_shape: Shape, dilation: int = 1, innermost: bool = False) -> bool:
        g = Geometry(w_shape[2:], (1, 1), (0, 0), (dilation, 1))
        return _im2col_batch.suits(g, w_shape, y_shape, innermost)

    assert suits((50, 20, 5, 5), (64, 50, 8, 8))
    assert not suits((50, 20, 5, 5), (64, 50, 8, 8), dilation=2)
    assert not suits((50, 20, 5, 5), (1, 50, 8, 8))
    assert not suits((50, 20, 5, 5), (64, 50, 64, 64))
    assert not suits((20, 1, 5, 5), (64, 20, 24, 24))
    assert suits((20, 1, 5, 5), (64, 20, 24, 24), innermost=True)
    assert not suits((50, 64, 1, 1), (64, 50, 8, 8))


@pytest.mark.parametrize("seed", range(8))
def test_im2col_and_its_transpose(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(_im2col, "TILE_BYTES", int(10 ** rng.uniform(2, 5)))
    monkeypatch.setattr(_im2col, "MIN_PLACES", 1)
    g, x, _, _ = random_case(rng, pointwise=False)
    output, depth = g.output_shape(x.shape[2:]), math.prod(g.kernel)
    columns = np.full((len(x), x.shape[1] * depth, *output), np.nan)
    _im2col.im2col(x, columns, g, Scratch())
    # Column (c, k) is the convolution of channel c with a kernel that is 1 at k.
    single = Geometry(g.kernel, g.stride, g.pad, g.dilation)
    for c in range(x.shape[1]):
        ones = np.eye(depth).reshape(depth, 1, *g.kernel)
        np.testing.assert_array_equal(columns[:, c * depth : (c + 1) * depth], naive(x[:, c : c + 1], ones, single))
    other, dx = rng.normal(size=columns.shape), np.full_like(x, np.nan)
    _im2col.col2im(other, dx, g, Scratch())
    np.testing.assert_allclose((dx * x).sum(), (other * columns).sum(), atol=1e-10)


@pytest.mark.parametrize("num", [64, 50])
def test_scratch_is_bounded_and_reused(num: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """LeNet's two convolutions by windows, at a batch that tiles divide and one that they do not."""
    monkeypatch.setattr(_im2col_tiles, "suits", lambda *_: False)
    for x_shape, w_shape in (((num, 1, 28, 28), (20, 1, 5, 5)), ((num, 20, 12, 12), (50, 20, 5, 5))):
        g, scratch = Geometry((5, 5), (1, 1), (0, 0), (1, 1)), Scratch()
        x, w, b = (np.ones(s, np.float32) for s in (x_shape, w_shape, w_shape[:1]))
        y = np.ones((num, w_shape[0], *g.output_shape(x_shape[2:])), np.float32)
        dx, dw, db = np.empty_like(x), np.zeros_like(w), np.zeros_like(b)
        for _ in range(2):
            made = scratch.made
            _im2col.conv_forward(x, w, b, y, g, scratch)
            _im2col.conv_backward_weight(x, y, dw, db, g, scratch)
            _im2col.conv_backward_data(y, w, dx, g, scratch)
        assert scratch.made == made > 0
        assert sum(a.nbytes for a in scratch.arrays.values()) < 6 << 20


def test_large_images_do_not_need_all_their_columns() -> None:
    g, scratch = Geometry((3, 3), (1, 1), (1, 1), (1, 1)), Scratch()
    x, w = np.ones((1, 16, 224, 224), np.float32), np.ones((8, 16, 3, 3), np.float32)
    y, dx = np.empty((1, 8, 224, 224), np.float32), np.empty_like(x)
    _im2col.conv_forward(x, w, None, y, g, scratch)
    _im2col.conv_backward_data(y, w, dx, g, scratch)
    assert y[0, 0, 100, 100] == 144
    assert y[0, 0, 0, 100] == 96
    assert dx[0, 0, 100, 100] == 8 * 9 * 144
    assert scratch.arrays["columns"].nbytes < 1.1 * _im2col.TILE_BYTES
