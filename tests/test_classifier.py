from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.data.pictures import resize_image
from pycaffe_lite.errors import GraphError, ShapeError

NET = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 dim: 5 dim: 6 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 7 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }"""
RNG = np.random.default_rng(2)
PICTURES = [RNG.random((9, 11, 3)), RNG.random((20, 8, 3)), RNG.random((7, 9, 3))]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    model, weights = str(tmp_path / "deploy.prototxt"), str(tmp_path / "w.caffemodel")
    Path(model).write_text(NET)
    caffe.Net(model, caffe.TEST).save(weights)
    return model, weights


def by_hand(files: tuple[str, str], inputs: Any) -> np.ndarray:
    net = caffe.Net(*files, caffe.TEST)
    net.blobs["data"].reshape(len(inputs), 3, 5, 6)
    return net.forward(data=np.stack(inputs))["prob"]


def test_the_middle_of_each_picture(files: tuple[str, str]) -> None:
    classifier = caffe.Classifier(*files, image_dims=(8, 9), raw_scale=255, channel_swap=(2, 1, 0))
    assert isinstance(classifier, caffe.Net)
    found = classifier.predict(PICTURES, oversample=False)
    middles = [resize_image(p, (8, 9))[1:6, 1:7].transpose(2, 0, 1)[::-1] * 255 for p in PICTURES]
    assert found.shape == (3, 7)
    np.testing.assert_allclose(found, by_hand(files, middles), rtol=1e-4)


@pytest.mark.parametrize("kind", [caffe.Classifier, caffe.Detector])
def test_reusing_memory(files: tuple[str, str], kind: Any) -> None:
    plain, reusing = kind(*files), kind(*files, reuse_memory=True)
    pictures = [picture[:5, :6] for picture in PICTURES]
    np.testing.assert_array_equal(reusing._run(pictures), plain._run(pictures))
    assert reusing._reuse is not None
    assert plain._reuse is None


def test_the_mean_of_ten_crops(files: tuple[str, str]) -> None:
    mean = np.array([0.3, 0.4, 0.5])
    classifier = caffe.Classifier(*files, image_dims=[8, 9], mean=mean, input_scale=2)
    found = classifier.predict(PICTURES)
    assert found.shape == (3, 7)
    for picture, row in zip(PICTURES, found, strict=True):
        crops = caffe.io.oversample([resize_image(picture, (8, 9))], (5, 6)).transpose(0, 3, 1, 2)
        rows = by_hand(files, (crops - mean[:, None, None]) * 2)
        np.testing.assert_allclose(row, rows.mean(axis=0), rtol=1e-4)
        assert np.ptp(rows, axis=0).max() > 1e-3


@pytest.mark.parametrize("image_dims", [(), ((),), (caffe.TEST,)])
def test_pictures_become_as_large_as_the_input_unless_told_otherwise(files: tuple[str, str], image_dims: Any) -> None:
    classifier = caffe.Classifier(*files, *image_dims)
    assert tuple(classifier.image_dims) == tuple(classifier.crop_dims) == (5, 6)
    wanted = by_hand(files, [resize_image(p, (5, 6)).transpose(2, 0, 1) for p in PICTURES])
    np.testing.assert_allclose(classifier.predict(PICTURES, oversample=False), wanted, rtol=1e-4)


def test_pictures_smaller_than_the_input(files: tuple[str, str]) -> None:
    with pytest.raises(ShapeError, match=r"image_dims \(4, 9\) are smaller than the net's input, \(5, 6\)"):
        caffe.Classifier(*files, image_dims=(4, 9))


@pytest.mark.parametrize("image_dims", [[8], (8, 9, 3)])
def test_image_dims_are_two_numbers(files: tuple[str, str], image_dims: Any) -> None:
    with pytest.raises(ShapeError, match=r"image_dims are .8.*\. Give two numbers, height and width"):
        caffe.Classifier(*files, image_dims=image_dims)


@pytest.mark.parametrize("oversample", [True, False])
def test_no_pictures(files: tuple[str, str], oversample: bool) -> None:
    with pytest.raises(ShapeError, match="There are no pictures"):
        caffe.Classifier(*files).predict([], oversample=oversample)


def test_a_net_that_reads_data_itself(tmp_path: Path) -> None:
    model, weights = tmp_path / "train.prototxt", tmp_path / "w.caffemodel"
    model.write_text('layer { name: "d" type: "DummyData" top: "data" dummy_data_param { shape { dim: 4 } } }')
    caffe.Net(model, caffe.TEST).save(weights)
    with pytest.raises(GraphError, match=r"train.prototxt has no Input layer .* deploy net"):
        caffe.Classifier(model, weights)
