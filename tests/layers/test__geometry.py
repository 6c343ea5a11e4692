from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.layers._geometry import Geometry, PoolGeometry, evenly, hits


def test_output_and_input_shape_of_a_convolution() -> None:
    g = Geometry(kernel=(3, 2), stride=(2, 3), pad=(1, 0), dilation=(2, 1))
    assert g.extent == (5, 2)
    assert g.output_shape((8, 9)) == (3, 3)
    assert g.input_shape((3, 3)) == (7, 8)
    assert g.output_shape(g.input_shape((3, 3))) == (3, 3)
    assert g.output_shape((2, 9))[0] < 1


@pytest.mark.parametrize(
    ("geometry", "spatial", "output"),
    [
        (PoolGeometry((2, 2), (2, 2), (0, 0)), (5, 4), (3, 2)),
        (PoolGeometry((2, 2), (2, 2), (0, 0), ceil=False), (5, 4), (2, 2)),
        (PoolGeometry((3, 3), (2, 2), (1, 1)), (6, 7), (4, 4)),
        # The last of these windows would start in the far padding.
        (PoolGeometry((2, 2), (2, 2), (1, 1)), (4, 5), (3, 3)),
        (PoolGeometry((2, 3), (3, 3), (1, 1)), (4, 7), (2, 3)),
        # Without padding it may start behind the data.
        (PoolGeometry((1, 2), (4, 3), (0, 0)), (6, 6), (3, 3)),
    ],
)
def test_output_shape_of_pooling(geometry: PoolGeometry, spatial: tuple[int, int], output: tuple[int, int]) -> None:
    assert geometry.output_shape(spatial) == output


def test_hits_are_what_the_formula_says() -> None:
    for offset in range(5):
        for stride in (1, 2, 3):
            for pad in range(4):
                for size in (1, 4, 7):
                    windows, places = hits(offset, stride, pad, size, 6)
                    wanted = {o: p for o in range(6) if 0 <= (p := o * stride + offset - pad) < size}
                    assert list(range(6))[windows] == list(wanted)
                    assert list(range(size))[places] == list(wanted.values())


def test_view_shows_what_each_window_sees() -> None:
    g = Geometry(kernel=(2, 3), stride=(2, 1), pad=(0, 0), dilation=(3, 2))
    a = np.arange(2 * 8 * 9 * 5).reshape(2, 8, 9, 5)
    view = g.view(a, 1, (3, 4))
    assert view.shape == (2, 2, 3, 3, 4, 5)
    assert np.array_equal(view[1, 1, 2, 2, 3], a[1, 2 * 2 + 3, 3 + 2 * 2])
    assert np.array_equal(g.view(a, 2, (4,))[:, :, 2, 3], a[:, :, 3 + 2 * 2])


@pytest.mark.parametrize(("count", "most", "each"), [(64, 22, 22), (64, 32, 32), (64, 33, 32), (7, 100, 7), (7, 0, 1)])
def test_evenly(count: int, most: int, each: int) -> None:
    assert evenly(count, most) == each
