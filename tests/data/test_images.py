"""Pictures against numbers that OpenCV 5.0.0 gave for the same bytes and sizes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pycaffe_lite.data.images import decode_image, locate, read_image, read_image_list, resize_image
from pycaffe_lite.errors import DataError, MissingFileError

RGB = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)
PATTERN = (np.arange(35).reshape(5, 7) ** 2 * 37 % 251).astype(np.uint8)

# cv2.resize(PATTERN, (width, height))
RESIZED = {
    (3, 4): [[34, 170, 128, 130], [156, 181, 186, 172], [132, 193, 172, 120]],
    (2, 2): [[122, 109], [151, 138]],
    (8, 9): [
        [0, 25, 86, 133, 82, 88, 135, 140, 77],
        [25, 54, 121, 173, 127, 139, 131, 129, 143],
        [67, 92, 162, 222, 184, 203, 124, 114, 230],
        [172, 99, 124, 192, 162, 189, 118, 116, 238],
        [155, 89, 122, 197, 175, 149, 112, 126, 203],
        [16, 61, 154, 238, 223, 83, 106, 145, 124],
        [81, 144, 187, 200, 193, 158, 147, 133, 108],
        [143, 210, 210, 167, 166, 222, 179, 122, 102],
    ],
}


def encoded(pixels: np.ndarray, form: str = "PNG", orientation: int = 1) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, form, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("size", RESIZED)
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_opencvs_or_one_less(size: tuple[int, int], channels: int) -> None:
    image = np.stack([PATTERN, 255 - PATTERN, PATTERN])[:channels]
    resized = resize_image(image, *size)
    assert resized.shape == (channels, *size)
    assert resized.dtype == np.uint8
    less = np.array(RESIZED[size]) - resized[0]
    assert 0 <= less.min() <= less.max() <= 1
    if channels == 3:
        np.testing.assert_array_equal(resized[2], resized[0])
        assert np.abs(255 - resized[1].astype(int) - resized[0]).max() <= 1


def test_resizing_to_the_same_size_changes_nothing() -> None:
    np.testing.assert_array_equal(resize_image(PATTERN[None], 5, 7), PATTERN[None])


def test_channels_are_bgr_and_transparency_goes() -> None:
    want = RGB.transpose(2, 0, 1)[::-1]
    np.testing.assert_array_equal(decode_image(encoded(RGB), "x"), want)
    rgba = np.concatenate([RGB, RGB[:, :, :1]], axis=2)
    np.testing.assert_array_equal(decode_image(encoded(rgba), "x"), want)


def test_gray_is_the_luminance_and_colour_of_gray_is_three_times_it() -> None:
    gray = decode_image(encoded(RGB), "x", color=False)
    assert gray.shape == (1, 4, 6)
    np.testing.assert_allclose(gray[0], RGB @ [0.299, 0.587, 0.114], atol=1)
    np.testing.assert_array_equal(decode_image(encoded(gray[0]), "x"), gray[[0, 0, 0]])


def test_pictures_are_turned_as_their_exif_says() -> None:
    """Orientation 6: the file's left column is the top row, from the right."""
    want = np.rot90(RGB, -1).transpose(2, 0, 1)[::-1]
    np.testing.assert_array_equal(decode_image(encoded(RGB, orientation=6), "x"), want)


def test_what_is_no_picture_is_named() -> None:
    with pytest.raises(DataError, match=r"'some\.jpg' cannot be decoded"):
        decode_image(b"not a picture", "some.jpg")
    with pytest.raises(DataError, match=r"'cut\.png' cannot be decoded"):
        decode_image(encoded(RGB)[:60], "cut.png")
    with pytest.raises(DataError, match="8-bit"):
        decode_image(encoded(np.arange(24, dtype=np.uint16).reshape(4, 6)), "x")


def test_real_photographs(shared: Path) -> None:
    cat = read_image(str(shared / "data" / "images" / "cat.jpg"))
    assert cat.shape == (3, 360, 480)
    assert read_image(str(shared / "data" / "images" / "cat gray.jpg"), color=False).shape == (1, 360, 480)
    assert cat[2].mean() > cat[0].mean()  # an orange cat


def test_lists(tmp_path: Path) -> None:
    source = tmp_path / "list.txt"
    source.write_text("a.jpg 3\nfolder/cat gray.jpg  -1 \r\n\n/b.png\t12")
    paths, labels = read_image_list(str(source))
    assert paths == ["a.jpg", "folder/cat gray.jpg", "/b.png"]
    assert labels.tolist() == [3, -1, 12]


@pytest.mark.parametrize(
    ("text", "says"),
    [("a.jpg 1\nb.jpg\n", "Line 2 .*'b.jpg'"), ("a.jpg one", "Line 1 "), ("3.5", "Line 1 "), ("\n \n", "lists no")],
)
def test_bad_lists_are_refused(tmp_path: Path, text: str, says: str) -> None:
    source = tmp_path / "list.txt"
    source.write_text(text)
    with pytest.raises(DataError, match=says):
        read_image_list(str(source))


def test_files_are_found_beneath_the_root_folder_as_caffe_joins_it(tmp_path: Path) -> None:
    (tmp_path / "image_1").touch()
    want = str(tmp_path / "image_1")
    assert locate(f"{tmp_path}/", "image_1") == want
    assert locate(f"{tmp_path}/image", "_1") == want
    assert locate(str(tmp_path), "image_1") == want
    assert locate("", want) == want
    with pytest.raises(MissingFileError, match="image_2"):
        locate(f"{tmp_path}/", "image_2")


def test_a_byte_order_mark_belongs_to_no_name(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg 1\n", encoding="utf-8-sig")
    assert read_image_list(str(tmp_path / "list.txt"))[0] == ["a.jpg"]
