from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import pycaffe_lite as caffe
from pycaffe_lite.data.pictures import resize_image
from pycaffe_lite.errors import MissingPackageError, ParameterError, ShapeError
from tests.test_classifier import NET

RNG = np.random.default_rng(2)
SQUARE = NET.replace("dim: 6", "dim: 8").replace("dim: 5", "dim: 8")
WINDOWS = [[(2, 3, 9, 12), (0, 0, 20, 30)], [(4, 4, 5, 5)]]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    model, weights = str(tmp_path / "deploy.prototxt"), str(tmp_path / "w.caffemodel")
    Path(model).write_text(SQUARE)
    caffe.Net(model, caffe.TEST).save(weights)
    return model, weights


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    names = [str(tmp_path / f"{i}.png") for i in range(2)]
    for name in names:
        Image.fromarray(RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)).save(name)
    return names


def test_windows_are_warped_to_the_input(files: tuple[str, str], pictures: list[str]) -> None:
    mean = np.array([104.0, 117.0, 123.0])
    detector = caffe.Detector(*files, mean=mean, raw_scale=255, channel_swap=(2, 1, 0), input_scale=0.01)
    found = detector.detect_windows(zip(pictures, WINDOWS, strict=True))
    assert [(d["filename"], d["window"]) for d in found] == [
        (name, window) for name, windows in zip(pictures, WINDOWS, strict=True) for window in windows
    ]
    net = caffe.Net(*files, caffe.TEST)
    net.blobs["data"].reshape(1, 3, 8, 8)
    for detection in found:
        y0, x0, y1, x1 = detection["window"]
        crop = resize_image(caffe.io.load_image(detection["filename"])[y0:y1, x0:x1], (8, 8))
        ready = (crop.transpose(2, 0, 1)[::-1] * 255 - mean[:, None, None]) * 0.01
        np.testing.assert_allclose(detection["prediction"], net.forward(data=ready[None])["prob"][0], rtol=1e-4)


def test_no_windows(files: tuple[str, str], pictures: list[str]) -> None:
    assert caffe.Detector(*files).detect_windows([(pictures[0], [])]) == []


def test_context_around_a_window(files: tuple[str, str]) -> None:
    """A window of 4×4 fills an input of 8 but for 2 on each side: as much of the picture again around it."""
    detector = caffe.Detector(*files, mean=np.array([104.0, 117.0, 123.0]), raw_scale=255, context_pad=2)
    im = RNG.random((30, 30, 3)).astype(np.float32)
    # half of 3 - 0 + 1, doubled, about the middle 10 + 2: 8 to 16
    np.testing.assert_allclose(
        detector.crop(im, (10, 10, 13, 13))[:7, :7], resize_image(im[8:16, 8:16], (8, 8))[:7, :7]
    )


def test_context_outside_the_picture_is_the_mean(files: tuple[str, str]) -> None:
    mean = np.array([102.0, 51.0, 204.0])
    detector = caffe.Detector(*files, mean=mean, raw_scale=255, channel_swap=(2, 0, 1), context_pad=2)
    im = np.zeros((30, 30, 3), np.float32)
    crop = detector.crop(im, (0, 10, 3, 13))
    assert crop.shape == (8, 8, 3)
    # channel i of the input is channel (2, 0, 1)[i] of the picture
    np.testing.assert_allclose(crop[0, 4], [51 / 255, 204 / 255, 102 / 255], rtol=1e-6)
    assert not crop[3:, 1:7].any()
    whole = caffe.Detector(*files, context_pad=2)
    assert whole.crop(im + 1, (0, 10, 3, 13))[0, 4].tolist() == [0, 0, 0]


def test_a_full_mean(files: tuple[str, str]) -> None:
    mean = RNG.random((3, 8, 8)) * 255
    detector = caffe.Detector(*files, mean=mean, raw_scale=255, channel_swap=(2, 1, 0), context_pad=2)
    np.testing.assert_allclose(detector.crop_mean, mean.transpose(1, 2, 0)[:, :, ::-1] / 255, rtol=1e-6)


def test_windows_outside_the_picture(files: tuple[str, str]) -> None:
    im = np.zeros((30, 20, 3), np.float32)
    for pad in (None, 2):
        detector = caffe.Detector(*files, context_pad=pad)
        with pytest.raises(ShapeError, match=r"\(40, 1, 60, 9\) has no pixels of the picture, which has 30×20"):
            detector.crop(im, (40, 1, 60, 9))


def test_selective_search(files: tuple[str, str], pictures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    detector = caffe.Detector(*files)
    name = "selective_search_ijcv_with_python"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match="needs the module 'selective_search_ijcv_with_python'"):
        detector.detect_selective_search(pictures)
    search = ModuleType(name)
    asked = []

    def get_windows(names: list[str], cmd: str) -> list[list[tuple[int, ...]]]:
        asked.append((names, cmd))
        return WINDOWS

    search.get_windows = get_windows  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, search)
    assert [d["window"] for d in detector.detect_selective_search(iter(pictures))] == WINDOWS[0] + WINDOWS[1]
    assert asked == [(pictures, "selective_search_rcnn")]


@pytest.mark.parametrize("context_pad", [4, 16])
def test_context_leaves_some_of_the_input(files: tuple[str, str], context_pad: int) -> None:
    with pytest.raises(ParameterError, match=rf"context_pad {context_pad} .* leaves nothing of the input's 8×8 pixels"):
        caffe.Detector(*files, context_pad=context_pad)


def test_a_net_of_one_channel_sees_gray(tmp_path: Path, pictures: list[str]) -> None:
    model, weights = tmp_path / "gray.prototxt", tmp_path / "gray.caffemodel"
    model.write_text(SQUARE.replace("dim: 3", "dim: 1"))
    caffe.Net(model, caffe.TEST).save(weights)
    detector = caffe.Detector(model, weights)
    (found,) = detector.detect_windows([(pictures[0], [(2, 3, 9, 12)])])
    gray = resize_image(caffe.io.load_image(pictures[0], color=False)[2:9, 3:12], (8, 8))
    net = caffe.Net(model, weights, caffe.TEST)
    net.blobs["data"].reshape(1, 1, 8, 8)
    expected = net.forward(data=gray.transpose(2, 0, 1)[None])["prob"][0]
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-4)
