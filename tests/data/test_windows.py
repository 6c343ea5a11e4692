"""Window files, and windows in crops against examples worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.windows import IMAGE, Extent, fit_window, read_window_file
from pycaffe_lite.errors import DataError, MissingFileError

FILE = """# 0
some folder/a.jpg
3
20
30
2
1 0.75 4 5 13 8
7 0.2 0 0 29 19

# 1
b.jpg
3
5
6
0
# 2
c.jpg
3
9
8
1
0 0 1 2 3 4
"""

WINDOW, SIZE = (4, 5, 13, 8), (20, 30)


def test_a_window_file(tmp_path: Path) -> None:
    source = tmp_path / "windows.txt"
    source.write_text(FILE)
    paths, windows = read_window_file(str(source))
    assert paths == ["some folder/a.jpg", "b.jpg", "c.jpg"]
    np.testing.assert_array_equal(
        windows, [[0, 1, 0.75, 4, 5, 13, 8], [0, 7, 0.2, 0, 0, 29, 19], [2, 0, 0, 1, 2, 3, 4]]
    )
    assert windows[2, IMAGE] == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("# 1", "1", "line 10 .*# image_index"),
        ("\n0\n# 2", "\n1\n# 2", "line 10 .*1 lines of 6 numbers"),
        ("1 0.75 4", "1 4", "line 1 .*"),
        ("0 0 1 2 3 4", "0 0 1 2 3", "line 16 .*1 lines of 6 numbers"),
        ("9\n8\n1\n0 0 1 2 3 4\n", "", "line 16 .*5 lines should follow"),
        ("1 0.75 4 5 13 8", "1 0.75 4 5 3 8", "line 1 .*x1 > x2"),
        ("1 0.75", "cat 0.75", "line 1 .*cat"),
        (FILE, "", "no windows"),
    ],
)
def test_bad_window_files_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    source = tmp_path / "windows.txt"
    assert old in FILE
    source.write_text(FILE.replace(old, new))
    with pytest.raises(DataError, match=says):
        read_window_file(str(source))


def test_no_window_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="none"):
        read_window_file(str(tmp_path / "none"))


def test_without_context_a_window_fills_the_crop() -> None:
    for mirror in (False, True):
        fitted = fit_window(WINDOW, SIZE, 16, 0, False, mirror)
        assert fitted == (Extent(5, 8, 0, 16), Extent(4, 13, 0, 16))


@pytest.mark.parametrize(
    ("square", "mirror", "vertical", "horizontal"),
    [
        # 16 pixels with 4 of context: the window doubles about its centre, to columns -1 to 19 and rows 3 to 11. The 20
        # of 21 columns that exist take 16 · 20 / 21 pixels.
        (False, False, Extent(3, 11, 0, 16), Extent(0, 19, 1, 15)),
        (False, True, Extent(3, 11, 0, 16), Extent(0, 19, 0, 15)),
        # The square has rows -3 to 17, of which 18 exist.
        (True, False, Extent(0, 17, 2, 14), Extent(0, 19, 1, 15)),
    ],
)
def test_context_is_cut_where_the_image_ends(square: bool, mirror: bool, vertical: Extent, horizontal: Extent) -> None:
    assert fit_window(WINDOW, SIZE, 16, 4, square, mirror) == (vertical, horizontal)


def test_a_square_without_context() -> None:
    """10 columns and 4 rows from row 5: rows 2 to 12 about the centre, 7; columns 4 to 14."""
    assert fit_window(WINDOW, SIZE, 16, 0, True, False) == (Extent(2, 12, 0, 16), Extent(4, 14, 0, 16))


def test_what_is_fitted_stays_within_image_and_crop() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        height, width = rng.integers(1, 40, 2)
        (x1, x2), (y1, y2) = (np.sort(rng.integers(0, n, 2)) for n in (width, height))
        crop = int(rng.integers(9, 30))
        context, square, mirror = int(rng.integers(5)), bool(rng.integers(2)), bool(rng.integers(2))
        for extent, limit in zip(
            fit_window((x1, y1, x2, y2), (height, width), crop, context, square, mirror), (height, width), strict=True
        ):
            assert 0 <= extent.low <= extent.high < limit
            assert 0 <= extent.start <= extent.start + extent.size <= crop


@pytest.mark.parametrize("context", [0, 2])
def test_a_window_outside_the_image_is_refused(context: int) -> None:
    with pytest.raises(DataError, match=r"of an image that has 30"):
        fit_window((40, 5, 55, 8), SIZE, 16, context, False, False)
