"""Trained nets read real pictures as well as BVLC Caffe does: within one picture of what it scored."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pycaffe_lite import TEST, Net
from pycaffe_lite.schema import read_binaryproto


def right(net: Net, pictures: np.ndarray, labels: np.ndarray) -> int:
    """How many labels are the largest output's; pictures (n, C, H, W)."""
    name = net.inputs[0]
    net.blobs[name].reshape(*pictures.shape)
    outputs = net.forward(**{name: pictures})[net.outputs[0]].reshape(len(pictures), -1)
    return int((outputs.argmax(axis=1) == labels).sum())


@pytest.fixture
def cifar10(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """The first 1,000 test pictures, RGB 0..255 as (1000, 3, 32, 32), and their labels."""
    with np.load(shared / "data" / "cifar10" / "test_first_1000.npz") as file:
        return file["images"].transpose(0, 3, 1, 2).astype(np.float32), file["labels"]


def test_squeezenet(shared: Path) -> None:
    folder = shared / "data" / "imagenet_sample"
    with open(folder / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    pictures = []
    for row in rows:
        with Image.open(folder / row["file"]) as image:
            small = image.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
        centre = np.asarray(small, np.float32)[14:241, 14:241, ::-1]
        pictures.append((centre - [104, 117, 123]).transpose(2, 0, 1))
    model = shared / "models" / "squeezenet"
    net = Net(model / "deploy.prototxt", TEST, weights=model / "squeezenet_v1.0.caffemodel")
    labels = np.array([int(row["class_index"]) for row in rows])
    assert len(rows) == 26
    assert abs(right(net, np.array(pictures, np.float32), labels) - 19) <= 1


def test_resnet20(shared: Path, cifar10: tuple[np.ndarray, np.ndarray]) -> None:
    pictures, labels = cifar10
    mean = np.array([125.3, 123.0, 113.9], np.float32).reshape(3, 1, 1)
    model = shared / "models" / "resnet20_cifar10"
    net = Net(model / "deploy.prototxt", TEST, weights=model / "cifar10_res20_iter_64000.caffemodel")
    assert abs(right(net, pictures - mean, labels) - 930) <= 1


def test_cifar10_quick(shared: Path, cifar10: tuple[np.ndarray, np.ndarray]) -> None:
    pictures, labels = cifar10
    model = shared / "models" / "cifar10_quick"
    net = Net(model / "cifar10_quick.prototxt", TEST, weights=model / "cifar10_quick_iter_5000.caffemodel")
    assert abs(right(net, pictures - read_binaryproto(model / "mean.binaryproto"), labels) - 768) <= 1
