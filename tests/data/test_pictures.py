from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pycaffe_lite.data import images
from pycaffe_lite.data.pictures import resize_image
from pycaffe_lite.errors import MemoryLimitError, ParameterError, ShapeError

RAMP = np.random.default_rng(3).normal(size=(5, 7, 2)) * 100 - 30
"""Negative numbers and large ones, two channels."""


def bilinear(im: np.ndarray, height: int, width: int) -> np.ndarray:
    """Interpolation by hand: pixel y of the output looks at (y + 1/2) · H / height - 1/2."""
    made = np.empty((height, width, im.shape[2]))
    for y in range(height):
        for x in range(width):
            at = [(y + 0.5) * im.shape[0] / height - 0.5, (x + 0.5) * im.shape[1] / width - 0.5]
            low = np.floor(at).astype(int)
            part = at - low
            made[y, x] = 0
            for dy in (0, 1):
                for dx in (0, 1):
                    i, j = np.clip(low + np.array([dy, dx]), 0, (im.shape[0] - 1, im.shape[1] - 1))
                    weight = abs(1 - dy - part[0]) * abs(1 - dx - part[1])
                    made[y, x] += weight * im[i, j]
    return made


@pytest.mark.parametrize("size", [(10, 14), (3, 4), (8, 3), (1, 1), (5, 11)])
def test_bilinear(size: tuple[int, int]) -> None:
    found = resize_image(RAMP, size)
    assert (found.shape, found.dtype) == ((*size, 2), np.float32)
    np.testing.assert_allclose(found, bilinear(RAMP, *size), rtol=1e-4, atol=1e-3)


def test_the_size_it_has() -> None:
    np.testing.assert_array_equal(resize_image(RAMP, np.array([5, 7])), RAMP.astype(np.float32))


def test_nearest_takes_pixels_as_they_are() -> None:
    np.testing.assert_array_equal(resize_image(RAMP, (10, 14), 0)[1::2, 1::2], RAMP.astype(np.float32))


def test_orders_differ_and_constants_stay() -> None:
    assert len({resize_image(RAMP, (9, 9), order).tobytes() for order in (0, 1, 3)}) == 3
    for order in (0, 1, 3):
        np.testing.assert_allclose(resize_image(np.full((4, 3, 5), 7.5), (6, 8), order), 7.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("im", "size"), [(np.ones((5, 7)), (3, 3)), (np.ones((0, 7, 3)), (3, 3)), (np.ones((5, 7, 3)), (0, 3))]
)
def test_what_is_no_picture(im: np.ndarray, size: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match="cannot become a picture"):
        resize_image(im, size)


def test_orders_that_there_are_not() -> None:
    with pytest.raises(ParameterError, match="interp_order is 2. It must be 0, 1 or 3"):
        resize_image(RAMP, (3, 3), 2)


@pytest.mark.parametrize("resize", [resize_image, lambda im, dims: images.resize_image(im.transpose(2, 0, 1), *dims)])
def test_a_size_larger_than_the_memory(resize: Callable[..., object]) -> None:
    with pytest.raises(MemoryLimitError, match="Resizing a picture to 10000000×10000000 needs .* TiB"):
        resize(RAMP, (10**7, 10**7))
