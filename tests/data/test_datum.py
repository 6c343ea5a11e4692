from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pycaffe_lite.data.datum import array_to_datum, datum_to_array, parse_datums
from pycaffe_lite.errors import DataError
from pycaffe_lite.proto.caffe_pb2 import Datum

RNG = np.random.default_rng(3)


def picture(mode: str, kind: str = "PNG", size: tuple[int, int] = (5, 7)) -> bytes:
    """An encoded picture, smooth so that JPEG keeps it nearly as it is."""
    ramp = np.linspace(20, 230, size[0] * size[1]).reshape(size)
    channels = [ramp, ramp[::-1], ramp.T.reshape(size), np.full(size, 200.0)][: len(Image.new(mode, (1, 1)).getbands())]
    array = np.stack(channels, -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(array if array.shape[2] > 1 else array[:, :, 0]).save(file, kind)
    return file.getvalue()


def encoded(data: bytes) -> Datum:
    return Datum(data=data, encoded=True)


def test_bytes_there_and_back() -> None:
    array = RNG.integers(0, 256, (2, 3, 5), dtype=np.uint8)
    datum = array_to_datum(array, 7)
    assert (datum.channels, datum.height, datum.width, datum.label) == (2, 3, 5, 7)
    assert datum.data == array.tobytes()
    back = datum_to_array(datum)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == np.uint8
    back[0, 0, 0] += 1


def test_floats_there_and_back() -> None:
    array = RNG.normal(size=(2, 3, 5))
    datum = array_to_datum(array[:, ::-1])
    assert not datum.data
    assert not datum.HasField("label")
    back = datum_to_array(datum)
    np.testing.assert_array_equal(back, array[:, ::-1].astype(np.float32))
    assert back.dtype == np.float32


def test_bytes_are_those_caffe_writes() -> None:
    datum = array_to_datum(np.array([[[9, 8]]], np.uint8), 5)
    assert datum.SerializeToString() == bytes([0x08, 1, 0x10, 1, 0x18, 2, 0x22, 2, 9, 8, 0x28, 5])


def test_wrong_axes() -> None:
    with pytest.raises(DataError, match=r"shape \(3, 5\)"):
        array_to_datum(np.zeros((3, 5)))


@pytest.mark.parametrize(
    ("datum", "says"),
    [
        (Datum(channels=1, height=2, width=3, data=b"12345"), "1×2×3 and holds 5 bytes.*encoded: true"),
        (Datum(channels=1, height=2, width=3, float_data=[1.0] * 7), "1×2×3 and holds 7 floats"),
        (Datum(channels=1, height=2, width=3), "holds 0 floats"),
        (Datum(), "0×0×0"),
        (Datum(channels=-1, height=-2, width=3, data=b"123456"), "-1×-2×3"),
        (encoded(b"no picture"), "cannot be decoded"),
        (encoded(picture("RGB")[:-30]), "cannot be decoded"),
    ],
)
def test_contents_that_disagree(datum: Datum, says: str) -> None:
    with pytest.raises(DataError, match=says):
        datum_to_array(datum)
    with pytest.raises(DataError, match=says):
        parse_datums([datum.SerializeToString()])


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_pictures_keep_their_channels_in_bgr_order(mode: str, channels: int) -> None:
    data = picture(mode)
    pixels = np.asarray(Image.open(io.BytesIO(data))).reshape(5, 7, channels)
    got = datum_to_array(encoded(data))
    assert got.shape == (channels, 5, 7)
    for channel, source in enumerate([2, 1, 0, 3][:channels] if channels > 1 else [0]):
        np.testing.assert_array_equal(got[channel], pixels[:, :, source])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_forced_channels(mode: str) -> None:
    data = picture(mode)
    rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)
    color = datum_to_array(encoded(data), force_color=True)
    np.testing.assert_array_equal(color, rgb.transpose(2, 0, 1)[::-1])
    gray = datum_to_array(encoded(data), force_gray=True)
    assert gray.shape == (1, 5, 7)
    np.testing.assert_allclose(gray[0], rgb @ [0.299, 0.587, 0.114], atol=1)


def test_jpeg_is_decoded() -> None:
    got = datum_to_array(encoded(picture("RGB", "JPEG", (16, 24))), force_gray=True)
    assert got.shape == (1, 16, 24)
    assert datum_to_array(encoded(picture("L", "JPEG"))).shape == (1, 5, 7)


def test_sixteen_bit_pictures_are_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((3, 5), 40000, np.uint16)).save(file, "PNG")
    with pytest.raises(DataError, match="not 8-bit"):
        datum_to_array(encoded(file.getvalue()))


def test_parsing_many_alike_gives_one_array() -> None:
    arrays = RNG.integers(0, 256, (4, 2, 3, 5), dtype=np.uint8)
    images, labels = parse_datums([array_to_datum(a, i * 3).SerializeToString() for i, a in enumerate(arrays)])
    assert isinstance(images, np.ndarray)
    np.testing.assert_array_equal(images, arrays)
    assert labels.tolist() == [0, 3, 6, 9]


def test_parsing_mixed_gives_a_list() -> None:
    arrays = [RNG.integers(0, 256, (1, 3, 5), dtype=np.uint8), RNG.integers(0, 256, (1, 5, 3), dtype=np.uint8)]
    values = [array_to_datum(a, 1).SerializeToString() for a in arrays]
    images, labels = parse_datums([*values, encoded(picture("RGB")).SerializeToString()], force_gray=True)
    assert isinstance(images, list)
    np.testing.assert_array_equal(images[1], arrays[1])
    assert images[2].shape == (1, 5, 7)
    assert labels.tolist() == [1, 1, 0]


def test_bytes_that_are_no_datum() -> None:
    with pytest.raises(DataError, match="not a Datum"):
        parse_datums([b"\xff\xff\xff\xff"])


def test_forced_channels_turn_a_picture_as_its_exif_data_say() -> None:
    """As cv2.imdecode does with IMREAD_COLOR and IMREAD_GRAYSCALE, and not with IMREAD_UNCHANGED."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # turned clockwise when shown
    array = RNG.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    Image.fromarray(array).save(file, "PNG", exif=exif)
    datum = encoded(file.getvalue())
    bgr = array[:, :, ::-1].transpose(2, 0, 1)
    np.testing.assert_array_equal(datum_to_array(datum), bgr)
    np.testing.assert_array_equal(datum_to_array(datum, force_color=True), np.rot90(bgr, -1, (1, 2)))
    assert datum_to_array(datum, force_gray=True).shape == (1, 5, 3)


def test_bytes_that_are_no_picture() -> None:
    with pytest.raises(DataError, match=r"\(7 bytes\) cannot be decoded: it is in no format that Pillow knows"):
        datum_to_array(encoded(b"no jpeg"))
