from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.layers._geometry import Geometry
from pycaffe_lite.layers._winograd import ONE, TileRows, can_do, matrices


@pytest.mark.parametrize("height", [3, 5])
def test_matrices(height: int) -> None:
    """They give what windows do, in exact arithmetic, and the value at 1 counts once in each row."""
    rng = np.random.default_rng(2)
    a, b, g = (matrix.astype(np.float64) for matrix in matrices(height))
    x, w = rng.integers(-9, 9, height + 3), rng.integers(-9, 9, height)
    np.testing.assert_allclose(a @ ((g @ w) * (b @ x)), np.correlate(x, w), rtol=0, atol=2e-5)
    np.testing.assert_array_equal(a[:, ONE], 1)


@pytest.mark.parametrize("height", [3, 5])
@pytest.mark.parametrize("pad", [0, 1, 2])
@pytest.mark.parametrize("rows", [5, 8, 13])
@pytest.mark.parametrize("together", [1, 2, 9])
def test_bands_make_a_column(height: int, pad: int, rows: int, together: int) -> None:
    """All of them make what windows do of a padded column, and take no row but those shared twice."""
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=rows), rng.normal(size=height)
    want = np.correlate(np.pad(x, pad), w)
    tiles, made, seen = TileRows(height, pad, rows, len(want)), [], 0
    for first in range(0, tiles.count, together):
        band = tiles.band(first, min(first + together, tiles.count))
        assert band.inside.start + band.shared == seen
        seen = band.inside.stop
        values = (band.b @ x[band.inside]).reshape(tiles.values, -1) * (tiles.g @ w)[:, np.newaxis]
        made += list(band.a @ values.ravel())
        assert band.made.stop == len(made)
    assert seen == rows
    np.testing.assert_allclose(made, want, rtol=0, atol=1e-5)


def test_what_can_be_done_in_tiles() -> None:
    for can in (
        Geometry((3, 3), (1, 1), (1, 1), (1, 1), 1),
        Geometry((5, 2), (1, 3), (4, 0), (1, 2), 2),
        Geometry((3, 3), (1, 1), (1, 1), (1, 1), 1, (2, 1)),
    ):
        assert can_do(can)
    for cannot in (
        Geometry((3, 3), (2, 1), (1, 1), (1, 1), 1),
        Geometry((3, 3), (1, 1), (3, 1), (1, 1), 1),
        Geometry((3, 3), (1, 1), (1, 1), (1, 1), 1, (3, 1)),
        Geometry((3, 3), (1, 1), (2, 2), (2, 1), 1),
        Geometry((7, 3), (1, 1), (2, 2), (1, 1), 1),
        Geometry((1, 3), (1, 1), (0, 1), (1, 1), 1),
    ):
        assert not can_do(cannot)
