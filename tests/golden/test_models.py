"""Real trained nets give what Caffe gave: outputs, and the mean of |x| of every blob."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import TEST, Net
from tests.golden.compare import grouped

MODELS = {
    "lenet": ("lenet.prototxt", "lenet_iter_10000.caffemodel"),
    "lenet_v1": ("lenet.prototxt", "lenet_iter_10000.caffemodel"),
    "cifar10_quick": ("cifar10_quick.prototxt", "cifar10_quick_iter_5000.caffemodel"),
    "cifar10_quick_h5": ("deploy.prototxt", "cifar10_quick_iter_5000.caffemodel.h5"),
    "resnet20_cifar10": ("deploy.prototxt", "cifar10_res20_iter_64000.caffemodel"),
    "squeezenet": ("deploy.prototxt", "squeezenet_v1.0.caffemodel"),
    "fsrcnn": ("FSRCNN_mat.prototxt", "snapshot_iter_2546000.caffemodel"),
}


@pytest.mark.parametrize("name", MODELS)
def test_model(shared: Path, name: str) -> None:
    folder = shared / "models" / name
    prototxt, weights = MODELS[name]
    with np.load(folder / "expected.npz") as file:
        expected = dict(file)
    net = Net(folder / prototxt, TEST, weights=folder / weights)
    for blob, value in grouped(expected, "in").items():
        net.blobs[blob].reshape(*value.shape)
        net.blobs[blob].data[...] = value
    outputs = net.forward()
    for blob, value in grouped(expected, "out").items():
        assert outputs[blob].shape == value.shape
        np.testing.assert_allclose(outputs[blob], value, rtol=0, atol=1e-4 * max(1, np.abs(value).max()))
    means = grouped(expected, "mean")
    assert set(means) <= set(net.blobs)
    for blob, mean in means.items():
        assert np.abs(net.blobs[blob].data).mean(dtype=np.float64) == pytest.approx(float(mean), rel=1e-4), blob
