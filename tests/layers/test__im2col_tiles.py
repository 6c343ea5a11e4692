"""Convolution in tiles against the same by windows in float64."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers import _im2col, _im2col_tiles
from pycaffe_lite.layers._geometry import Geometry
from pycaffe_lite.layers._im2col_tiles import pays, suits

CASES = [
    (3, 4, 12, 11, 6, Geometry((5, 5), (1, 1), (0, 0), (1, 1))),
    (2, 6, 13, 9, 4, Geometry((3, 4), (1, 1), (2, 1), (1, 1))),
    (4, 6, 7, 7, 8, Geometry((5, 5), (1, 1), (2, 2), (1, 1), 2)),
    (9, 4, 3, 3, 5, Geometry((3, 3), (1, 1), (0, 0), (1, 1))),
    (1, 2, 30, 6, 3, Geometry((5, 1), (1, 1), (4, 0), (1, 1))),
    (2, 2, 3, 2, 3, Geometry((3, 5), (1, 1), (1, 6), (1, 1))),
    (10, 8, 9, 2, 4, Geometry((3, 5), (1, 1), (0, 6), (1, 1), 4)),
    (2, 3, 6, 5, 4, Geometry((3, 3), (1, 1), (1, 1), (1, 1), 1, (2, 0))),
]
"""Images, channels, rows, columns, outputs, and windows."""


def scratch(name: str, shape: Shape, dtype: object) -> Array:
    return np.full(shape, np.nan, dtype)  # type: ignore[call-overload, no-any-return]


def lying(shape: Shape, order: str, numbers: Array | None = None) -> Array:
    """An array (N, C, H, W) that is plain, or has the batch or the channels innermost."""
    axes = {"plain": (0, 1, 2, 3), "batch": (1, 2, 3, 0), "channels": (0, 2, 3, 1)}[order]
    array = np.empty([shape[axis] for axis in axes], np.float32).transpose(np.argsort(axes))
    array[...] = np.nan if numbers is None else numbers
    return array


def made(case: tuple[int, int, int, int, int, Geometry]) -> tuple[Geometry, list[Array]]:
    """x, w, b and dy."""
    num, channels, rows, columns, outputs, g = case
    y = [n + p + q - k + 1 for n, p, q, k in zip((rows, columns), g.pad, g.far, g.kernel, strict=True)]
    rng = np.random.default_rng(4)
    shapes = (num, channels, rows, columns), (outputs, channels // g.group, *g.kernel), (outputs,), (num, outputs, *y)
    return g, [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def by_windows(g: Geometry, x: Array, w: Array, b: Array, dy: Array) -> list[Array]:
    """y, dw + 1, db + 1 and dx in float64, which is not done in tiles."""
    x, w, b, dy = (array.astype(np.float64) for array in (x, w, b, dy))
    y, dx, dw, db = np.empty_like(dy), np.empty_like(x), np.ones_like(w), np.ones_like(b)
    _im2col.conv_forward(x, w, b, y, g, scratch, False)
    _im2col.conv_backward_weight(x, dy, dw, db, g, scratch, False)
    _im2col.conv_backward_data(dy, w, dx, g, scratch, False)
    return [y, dw, db, dx]


@pytest.mark.parametrize("order", ["plain", "batch", "channels"])
@pytest.mark.parametrize("together", [1, 2, 5])
@pytest.mark.parametrize("case", CASES)
def test_as_in_float64(
    case: tuple[int, int, int, int, int, Geometry], order: str, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_im2col_tiles, "TOGETHER", together)
    if together == 2:
        monkeypatch.setattr(_im2col_tiles, "MOST", 600)  # one, two or more images at a time
    g, (x, w, b, dy) = made(case)
    want = by_windows(g, x, w, b, dy)
    x, dy = lying(x.shape, order, x), lying(dy.shape, order, dy)
    y, dx, dw, db = lying(dy.shape, order), lying(x.shape, order), np.ones_like(w), np.ones_like(b)
    for _ in range(2):  # in memory of the first time
        assert _im2col_tiles.forward(x, w, b, y, g)
        assert _im2col_tiles.backward_data(dy, w, dx, g)
    assert _im2col_tiles.backward_weight(x, dy, dw, db, g)
    for name, got, exact in zip(("y", "dw", "db", "dx"), (y, dw, db, dx), want, strict=True):
        np.testing.assert_allclose(got, exact, rtol=0, atol=1e-5 * max(1, np.abs(exact).max()), err_msg=name)
    assert _im2col_tiles.forward(x, w, None, y, g)
    np.testing.assert_allclose(y, want[0] - b.reshape(-1, 1, 1), rtol=0, atol=1e-4)
    assert _im2col_tiles.backward_weight(x, dy, dw, None, g)
    np.testing.assert_allclose(dw, 2 * want[1] - 1, rtol=0, atol=1e-4 * np.abs(want[1]).max())


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
def test_what_is_not_finite_stays_where_it_belongs(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then all is by windows, to the bit, and gradients that there were are kept."""
    g, (x, w, b, dy) = made(CASES[1])
    x[1, 3, 4, 4] = dy[1, 2, 4, 4] = value

    def run() -> list[Array]:
        y, dx, dw, db = np.empty_like(dy), np.empty_like(x), np.ones_like(w), np.ones_like(b)
        with np.errstate(all="ignore"):
            _im2col.conv_forward(x, w, b, y, g, scratch, False)
            _im2col.conv_backward_weight(x, dy, dw, db, g, scratch, False)
            _im2col.conv_backward_data(dy, w, dx, g, scratch, False)
        return [y, dx, dw, db]

    monkeypatch.setattr(_im2col_tiles, "pays", lambda *_: False)
    want = run()
    monkeypatch.setattr(_im2col_tiles, "pays", lambda *_: True)
    for got, exact in zip(run(), want, strict=True):
        np.testing.assert_array_equal(got, exact)
    assert np.isfinite(want[0][0]).all()


def test_rows_that_forward_has_unrolled_are_not_there_after_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient that is not finite unrolls them itself, though the bottom is the one that forward has seen."""
    g, (x, w, b, dy) = made((17, 4, 8, 8, 6, Geometry((3, 3), (1, 1), (1, 1), (1, 1))))
    dy[0, 0, 0, 0] = np.inf
    found = []
    for pay in (False, True):
        monkeypatch.setattr(_im2col_tiles, "pays", lambda *_, pay=pay: pay)
        kept: dict[str, Array] = {}

        def keeping(name: str, shape: Shape, dtype: object, kept: dict[str, Array] = kept) -> Array:
            if name not in kept or kept[name].shape != shape:
                kept[name] = scratch(name, shape, dtype)
            return kept[name]

        y, dw, db = np.empty_like(dy), np.zeros_like(w), np.zeros_like(b)
        with np.errstate(all="ignore"):
            _im2col.conv_forward(x, w, b, y, g, keeping, True)
            _im2col.conv_backward_weight(x, dy, dw, db, g, keeping, True, same_x=True)
        found.append(dw)
    np.testing.assert_array_equal(*found)
    assert np.isfinite(found[0][1:]).all()


def test_when_it_pays() -> None:
    def is_so(num: int, channels: int, size: int, outputs: int, kernel: int = 3, stride: int = 1) -> bool:
        g = Geometry((kernel, kernel), (1, stride), (kernel // 2, kernel // 2), (1, 1))
        x, y = (num, channels, size, size), (num, outputs, size, -(-size // stride))
        return pays(g, x, (outputs, channels, kernel, kernel), y)

    assert is_so(10, 96, 28, 128)
    assert is_so(64, 20, 12, 50, kernel=5)
    assert not is_so(10, 96, 28, 128, stride=2)
    assert not is_so(10, 96, 28, 128, kernel=1)
    assert not is_so(1, 512, 7, 512)
    assert not is_so(2, 3, 9, 2)
    assert not pays(Geometry((3,), (1,), (1,), (1,)), (9, 96, 28), (96, 96, 3), (9, 96, 28))


def test_only_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_im2col_tiles, "pays", lambda *_: True)
    g, (x, w, _, y) = made(CASES[0])
    assert suits(g, x, w.shape, y)
    assert not suits(g, x.astype(np.float64), w.shape, y.astype(np.float64))
