"""R-CNN's window files, and where a window lands in a square crop."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pycaffe_lite._files import find_file, read_bytes
from pycaffe_lite._typing import FloatArray
from pycaffe_lite.errors import DataError

IMAGE, LABEL, OVERLAP, X1, Y1, X2, Y2 = range(7)
"""Columns of `WindowFile.windows`."""


class WindowFile(NamedTuple):
    """The images' paths, and a row per window of any of them: (n, 7), the columns named above."""

    paths: list[str]
    windows: FloatArray


def read_window_file(source: str) -> WindowFile:
    """The images and windows in a file that has, for each image, these lines::

        # image_index
        path
        channels
        height
        width
        number of windows
        class_index overlap x1 y1 x2 y2      (a line for each window; the corners are within the window)

    Raises MissingFileError for the file, DataError for lines that are not so.
    """
    text = read_bytes(find_file(source)).decode("utf-8", "surrogateescape")
    lines = [(number, stripped) for number, line in enumerate(text.split("\n"), 1) if (stripped := line.strip())]
    paths: list[str] = []
    windows: list[FloatArray] = []
    at = 0
    while at < len(lines):
        head = [line for _, line in lines[at : at + 6]]
        try:
            if not head[0].startswith("#"):
                raise ValueError("a line '# image_index' should be here")
            if len(head) < 6:
                raise ValueError("5 lines should follow: path, channels, height, width, number of windows")
            count = int(head[5])
            rows = [line.split() for _, line in lines[at + 6 : at + 6 + count]]
            if len(rows) != count or any(len(row) != 6 for row in rows):
                raise ValueError(f"{count} lines of 6 numbers should follow: class_index overlap x1 y1 x2 y2")
            table = np.array(rows, np.float64).reshape(count, 6)
            if not (table[:, 2:4] <= table[:, 4:]).all():
                raise ValueError("one of its windows has x1 > x2 or y1 > y2")
        except ValueError as e:
            raise DataError(f"The image that begins in line {lines[at][0]} of '{source}' cannot be read: {e}") from e
        windows.append(np.column_stack([np.full(count, len(paths)), table]))
        paths.append(head[1])
        at += 6 + count
    if not any(map(len, windows)):
        raise DataError(f"'{source}' has no windows")
    return WindowFile(paths, np.concatenate(windows))


class Extent(NamedTuple):
    """Along one axis: pixels `low` to `high`, both within, of the image become `size` pixels from `start` on."""

    low: int
    high: int
    start: int
    size: int


def fit_window(
    corners: npt.ArrayLike, image: tuple[int, int], crop: int, context: int, square: bool, mirror: bool
) -> tuple[Extent, Extent]:
    """Where a window (x1, y1, x2, y2) of an image (height, width) lies, vertically and horizontally, in a crop².

    The window fills the crop but for `context` pixels on each side, which show what surrounds it; with `square` it is
    first made a square about its centre. What lies beyond the image stays empty. `mirror` only says on which side.

    Raises DataError for a window outside the image.
    """
    x1, y1, x2, y2 = (int(v) for v in np.asarray(corners))
    axes = [(y1, y2, image[0], False), (x1, x2, image[1], mirror)]
    if not context and not square:
        for low, high, limit, _ in axes:
            _check(low, high, limit)
        return Extent(y1, y2, 0, crop), Extent(x1, x2, 0, crop)
    halves = np.array([high - low + 1 for low, high, _, _ in axes], np.float32) / 2
    if square:
        halves[:] = halves.max()
    halves *= np.float32(crop) / np.float32(crop - 2 * context)
    # Single precision, as Caffe: where a half is rounded may depend on it.
    vertical, horizontal = (
        _expand(low, high, half, limit, crop, flip) for (low, high, limit, flip), half in zip(axes, halves, strict=True)
    )
    return vertical, horizontal


def _expand(low: int, high: int, half: np.float32, limit: int, crop: int, flip: bool) -> Extent:
    """The window widened to `half` on either side of its centre, cut where the image ends."""
    centre = np.float32(low + (high - low + 1) / 2)
    first, last = _round(centre - half), _round(centre + half)
    scale = np.float32(crop) / np.float32(last - first + 1)
    before, after = max(0, -first), max(0, last - limit + 1)
    first, last = first + before, last - after
    _check(first, last, limit)
    start = _round((after if flip else before) * scale)
    return Extent(first, last, start, min(_round((last - first + 1) * scale), crop - start))


def _check(low: int, high: int, limit: int) -> None:
    if not 0 <= low <= high < limit:
        raise DataError(f"A window reaches from pixel {low} to {high} of an image that has {limit} that way")


def _round(value: np.float32) -> int:
    """The nearest whole number, halves away from 0."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))
