"""caffe.io: arrays in messages, pictures in files, crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pycaffe_lite as caffe
from pycaffe_lite.errors import CaffeError, DataError, MissingFileError, ParseError, ShapeError
from pycaffe_lite.proto.caffe_pb2 import BlobProto

RNG = np.random.default_rng(8)
NUMBERS = RNG.normal(size=(2, 3, 5, 7)).astype(np.float32)


# Messages.


def test_blobproto_with_the_four_old_dimensions() -> None:
    blob = BlobProto(num=2, channels=3, height=5, width=7, data=NUMBERS.ravel().tolist())
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob), NUMBERS)


def test_blobproto_with_a_shape_and_a_diff() -> None:
    blob = caffe.io.array_to_blobproto(NUMBERS[0, 0], diff=-NUMBERS[0, 0])
    assert list(blob.shape.dim) == [5, 7]
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob), NUMBERS[0, 0])
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob, return_diff=True), -NUMBERS[0, 0])


def test_blobproto_without_a_shape() -> None:
    blob = BlobProto(data=[1, 2, 3])
    with pytest.raises(ValueError, match="3 in its data"):  # as pycaffe
        caffe.io.blobproto_to_array(blob)
    assert caffe.io.blobproto_to_array(BlobProto(data=[123])) == 123


def test_lists_of_arrays_in_one_string() -> None:
    arrays = [NUMBERS, NUMBERS[0, 1], np.float32([4])]
    with pytest.raises(ParseError, match="4 bytes are no BlobProtoVector"):
        caffe.io.blobprotovector_str_to_arraylist(b"junk")
    packed = caffe.io.arraylist_to_blobprotovector_str(arrays)
    assert isinstance(packed, bytes)
    found = caffe.io.blobprotovector_str_to_arraylist(packed)
    assert len(found) == 3
    for mine, its in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_datum_with_and_without_a_label() -> None:
    pixels = RNG.integers(0, 256, (3, 4, 5)).astype(np.uint8)
    with_label, without = caffe.io.array_to_datum(pixels, label=7), caffe.io.array_to_datum(pixels)
    assert len(with_label.SerializeToString()) > len(without.SerializeToString())
    assert (with_label.label, with_label.channels, with_label.height, with_label.width) == (7, 3, 4, 5)
    np.testing.assert_array_equal(caffe.io.datum_to_array(with_label), pixels)
    floats = caffe.io.array_to_datum(NUMBERS[0])
    assert floats.data == b""
    np.testing.assert_array_equal(caffe.io.datum_to_array(floats), NUMBERS[0])
    with pytest.raises(ValueError, match="3 axes"):
        caffe.io.array_to_datum(NUMBERS)


# Pictures.

PIXELS = RNG.integers(0, 256, (5, 7, 4)).astype(np.uint8)


def write(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path)
    return path


def test_colour_pictures(tmp_path: Path) -> None:
    found = caffe.io.load_image(write(tmp_path / "a.png", PIXELS[:, :, :3]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, PIXELS[:, :, :3] / 255, rtol=1e-6)
    np.testing.assert_allclose(
        caffe.io.load_image(write(tmp_path / "b.png", PIXELS)), PIXELS[:, :, :3] / 255, rtol=1e-6
    )


def test_gray_pictures(tmp_path: Path) -> None:
    file = str(write(tmp_path / "a.png", PIXELS[:, :, 0]))
    gray = PIXELS[:, :, :1] / 255
    np.testing.assert_allclose(caffe.io.load_image(file, color=False), gray, rtol=1e-6)
    np.testing.assert_allclose(caffe.io.load_image(file), np.repeat(gray, 3, axis=2), rtol=1e-6)


def test_colour_pictures_as_gray(tmp_path: Path) -> None:
    found = caffe.io.load_image(write(tmp_path / "a.png", PIXELS[:, :, :3]), color=False)
    wanted = PIXELS[:, :, :3] / 255 @ [0.2125, 0.7154, 0.0721]
    np.testing.assert_allclose(found, wanted[:, :, np.newaxis], rtol=1e-5)


def test_other_kinds_of_pictures(tmp_path: Path) -> None:
    deep = (PIXELS[:, :, 0].astype(np.uint16) << 8) + 77
    np.testing.assert_allclose(
        caffe.io.load_image(write(tmp_path / "deep.png", deep), color=False)[:, :, 0], deep / 65535, rtol=1e-6
    )
    bits = write(tmp_path / "bits.png", (PIXELS[:, :, 0] > 99).astype(np.uint8) * 255, "1")
    np.testing.assert_array_equal(caffe.io.load_image(bits, color=False)[:, :, 0], PIXELS[:, :, 0] > 99)
    palette = write(tmp_path / "palette.png", np.repeat(PIXELS[:, :, :1] // 100 * 100, 3, axis=2), "P")
    np.testing.assert_allclose(caffe.io.load_image(palette)[:, :, 1], PIXELS[:, :, 0] // 100 * 100 / 255, atol=0.02)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="There is no file"):
        caffe.io.load_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"text.png' cannot be decoded"):
        caffe.io.load_image(tmp_path / "text.png")
    whole = write(tmp_path / "a.jpg", np.tile(PIXELS[:, :, :3], (20, 20, 1))).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut.jpg' cannot be decoded"):
        caffe.io.load_image(tmp_path / "cut.jpg")


# Crops.


def test_ten_crops() -> None:
    images = RNG.normal(size=(2, 8, 11, 3))
    crops = caffe.io.oversample(images, (5, 4))
    assert (crops.shape, crops.dtype) == ((20, 5, 4, 3), np.float32)
    for image, ten in zip(images.astype(np.float32), crops.reshape(2, 10, 5, 4, 3), strict=True):
        corners = [image[:5, :4], image[:5, 7:], image[3:, :4], image[3:, 7:], image[1:6, 3:7]]
        np.testing.assert_array_equal(ten[:5], corners)
        np.testing.assert_array_equal(ten[5:], [c[:, ::-1] for c in corners])


def test_crops_of_pictures_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="Crops of 9×4 do not fit into pictures of 8×11"):
        caffe.io.oversample(RNG.normal(size=(2, 8, 11, 3)), (9, 4))
    with pytest.raises(ShapeError, match="of one size"):
        caffe.io.oversample(RNG.normal(size=(8, 11, 3)), (5, 4))


def test_errors_are_both_ours_and_values() -> None:
    assert issubclass(ShapeError, ValueError)
    assert issubclass(ShapeError, CaffeError)
