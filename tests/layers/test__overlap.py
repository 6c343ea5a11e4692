from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.layers import _image_rows
from pycaffe_lite.layers._geometry import Geometry
from pycaffe_lite.layers._image_rows import ImageRows
from pycaffe_lite.layers._overlap import Scattered, Shifted, overlapping
from tests.layers.test__im2col import Scratch


def case(seed: int, *, innermost: bool) -> tuple[Array, Array, Array, Geometry]:
    """dx, dy and w of a convolution whose windows are one place apart along the last axis, and its geometry."""
    rng = np.random.default_rng(seed)

    def number(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    kernel, pad = (number(1, 4), number(1, 5)), (number(0, 3), number(0, 4))
    after = (number(0, 3), number(0, 4)) if seed % 2 else None
    g = Geometry(kernel, (number(1, 3), 1), pad, (1, number(1, 4)), number(1, 3), after)
    shape = (number(1, 6), g.group * number(1, 4), g.extent[0] + number(0, 5), g.extent[1] + number(0, 5))
    outputs = g.group * number(1, 4)
    dx = np.full(shape, np.nan)
    if innermost:
        dx = np.full((*shape[1:], shape[0]), np.nan).transpose(3, 0, 1, 2)
    dy = rng.normal(size=(shape[0], outputs, *g.output_shape(shape[2:])))
    return dx, dy, rng.normal(size=(outputs, shape[1] // g.group, *kernel)), g


@pytest.mark.parametrize("innermost", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_both_ways_give_the_same_image(seed: int, innermost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_image_rows, "TILE_BYTES", 1 << 10)
    monkeypatch.setattr(_image_rows, "MIN_COLUMNS", 1)
    images_made = []
    for way in (Shifted, Scattered):
        dx, dy, w, g = case(seed, innermost=innermost)
        rows = ImageRows(dx, dy, w, g, Scratch())
        for images in rows.tiles():
            windows = way(rows, dx, images)
            for h in range(rows.x_rows):
                windows.row[...] = np.random.default_rng([seed, images.start, h]).normal(size=windows.row.shape)
                windows.add_up(h)
            windows.finish()
        images_made.append(dx)
    np.testing.assert_allclose(*images_made, atol=1e-12)


def test_which_way() -> None:
    def way(width: int, stride: int, num: int) -> type:
        dx, w = np.zeros((num, 2, 5, width)), np.zeros((4, 2, 3, 3))
        g = Geometry((3, 3), (1, stride), (1, 1), (1, 1))
        rows = ImageRows(dx, np.zeros((num, 4, *g.output_shape(dx.shape[2:]))), w, g, Scratch())
        return type(overlapping(rows, dx, slice(0, num)))

    assert way(16, 1, 2) is Shifted
    assert way(15, 1, 2) is Scattered, "runs are short"
    assert way(16, 2, 2) is Scattered
