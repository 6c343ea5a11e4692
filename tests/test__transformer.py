from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.data.pictures import resize_image
from pycaffe_lite.errors import CaffeError, ShapeError
from pycaffe_lite.io import Transformer

RNG = np.random.default_rng(9)
PICTURE = RNG.random((6, 8, 3)).astype(np.float32)


@pytest.fixture
def transformer() -> Transformer:
    return Transformer({"data": (10, 3, 6, 8)})


def configured(transformer: Transformer) -> Transformer:
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 0, 1))
    transformer.set_raw_scale("data", 255)
    transformer.set_mean("data", np.array([104.0, 117.0, 123.0]))
    transformer.set_input_scale("data", 0.5)
    return transformer


def test_preprocess_in_pycaffes_order(transformer: Transformer) -> None:
    made = configured(transformer).preprocess("data", PICTURE)
    swapped = PICTURE.transpose(2, 0, 1)[[2, 0, 1]]
    wanted = (swapped * 255 - np.array([104, 117, 123])[:, None, None]) * 0.5
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-4)


def test_preprocess_leaves_the_picture_alone(transformer: Transformer) -> None:
    before = PICTURE.copy()
    transformer.set_raw_scale("data", 3)
    transformer.preprocess("data", PICTURE)
    np.testing.assert_array_equal(PICTURE, before)


def test_only_what_was_set_is_done(transformer: Transformer) -> None:
    np.testing.assert_array_equal(transformer.preprocess("data", PICTURE), PICTURE)


def test_other_sizes_are_resized(transformer: Transformer) -> None:
    large = RNG.random((13, 9, 3))
    transformer.set_transpose("data", (2, 0, 1))
    np.testing.assert_allclose(
        transformer.preprocess("data", large), resize_image(large, (6, 8)).transpose(2, 0, 1), rtol=1e-6
    )


@pytest.mark.parametrize("batch", [True, False])
def test_deprocess_undoes_it(transformer: Transformer, batch: bool) -> None:
    made = configured(transformer).preprocess("data", PICTURE)
    back = transformer.deprocess("data", made[np.newaxis] if batch else made)
    np.testing.assert_allclose(back, PICTURE, rtol=1e-4, atol=1e-5)


def test_deprocess_of_one_channel() -> None:
    transformer = Transformer({"x": (1, 1, 6, 8)})
    np.testing.assert_array_equal(transformer.deprocess("x", PICTURE[None, None, :, :, 0]), PICTURE[:, :, 0])
    transformer.set_transpose("x", (2, 0, 1))
    np.testing.assert_array_equal(transformer.deprocess("x", PICTURE[None, None, :, :, 0]), PICTURE[:, :, :1])


def test_means(transformer: Transformer) -> None:
    transformer.set_transpose("data", (2, 0, 1))
    zero = np.zeros((6, 8, 3))
    full = RNG.normal(size=(3, 6, 8))
    transformer.set_mean("data", full)
    np.testing.assert_allclose(transformer.preprocess("data", zero), -full, rtol=1e-6)
    larger = RNG.normal(size=(3, 12, 16))
    transformer.set_mean("data", larger)
    resized = resize_image(larger.transpose(1, 2, 0), (6, 8)).transpose(2, 0, 1)
    np.testing.assert_allclose(transformer.preprocess("data", zero), -resized, rtol=1e-6)
    gray = Transformer({"data": (1, 1, 6, 8)})
    gray.set_transpose("data", (2, 0, 1))
    gray.set_mean("data", full[0])
    np.testing.assert_allclose(gray.preprocess("data", zero[:, :, :1]), -full[:1], rtol=1e-6)


@pytest.mark.parametrize(
    ("mean", "says"),
    [
        (np.ones(4), "Mean channels incompatible with input: 4, the input has 3"),
        (np.ones((6, 8)), "Mean channels incompatible with input: 1, the input has 3"),
        (np.ones((1, 3, 6, 8)), r"Mean shape invalid: \(1, 3, 6, 8\)"),
    ],
)
def test_means_that_do_not_fit(transformer: Transformer, mean: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        transformer.set_mean("data", mean)


def test_orders_that_do_not_fit(transformer: Transformer) -> None:
    with pytest.raises(ShapeError, match="Transpose order needs to have the same number of dimensions as the input"):
        transformer.set_transpose("data", (1, 0))
    for order in ((0, 0, 1), (2, 0, 5), (-1, 0, 1)):
        with pytest.raises(ShapeError, match="does not name each of the axes 0 to 2 once"):
            transformer.set_transpose("data", order)
    with pytest.raises(ShapeError, match="Channel swap needs to have the same number of dimensions as the input chan"):
        transformer.set_channel_swap("data", (2, 1, 0, 3))


@pytest.mark.parametrize("swap", [(2, 1, 3), (-4, 0, 1)])
def test_a_channel_swap_beyond_the_channels(transformer: Transformer, swap: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError, match=r"Channel swap \(.*\) names others than the channels 0 to 2. \(2, 1, 0\) makes"
    ):
        transformer.set_channel_swap("data", swap)


def test_a_channel_may_be_taken_twice(transformer: Transformer) -> None:
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (-1, 0, 0))
    size = transformer.inputs["data"][2:]
    picture = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    np.testing.assert_array_equal(transformer.preprocess("data", picture), picture.transpose(2, 0, 1)[[2, 0, 0]])


def test_pictures_of_other_channels(transformer: Transformer) -> None:
    transformer.set_transpose("data", (2, 0, 1))
    with pytest.raises(ShapeError, match=r"The picture has shape \(6, 8\). It must be \(height, width, channels\)"):
        transformer.preprocess("data", PICTURE[:, :, 0])
    rgba = np.ones((6, 8, 4))
    transformer.set_mean("data", np.ones(3))
    for picture, found in ((rgba, r"\(4, 6, 8\), the mean \(3, 1, 1\)"), (PICTURE[:, :, :1], r"\(1, 6, 8\), the mean")):
        with pytest.raises(ShapeError, match=f"The picture has shape {found}.*load_image gives three"):
            transformer.preprocess("data", picture)
    transformer.set_channel_swap("data", (2, 1, 0))
    with pytest.raises(ShapeError, match="The picture has 1 channels, channel_swap 3. .*load_image gives three"):
        transformer.preprocess("data", PICTURE[:, :, :1])
    np.testing.assert_array_equal(transformer.preprocess("data", rgba), np.zeros((3, 6, 8)))  # without alpha


def test_inputs_that_there_are_not(transformer: Transformer) -> None:
    for call in (
        lambda: transformer.preprocess("image", PICTURE),
        lambda: transformer.deprocess("image", PICTURE),
        lambda: transformer.set_transpose("image", (2, 0, 1)),
        lambda: transformer.set_channel_swap("image", (2, 1, 0)),
        lambda: transformer.set_raw_scale("image", 1),
        lambda: transformer.set_mean("image", np.ones(3)),
        lambda: transformer.set_input_scale("image", 1),
    ):
        with pytest.raises(CaffeError, match="'image' is not one of the net inputs: data"):
            call()
