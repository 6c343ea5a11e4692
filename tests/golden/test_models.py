"""Real trained nets give what Caffe gave: outputs, and the mean of |x| of every blob."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import TEST, Net
from tests.golden.compare import grouped

MODELS = {
    "lenet/expected.npz": ("lenet.prototxt", "lenet_iter_10000.caffemodel"),
    "lenet_v1/expected.npz": ("lenet.prototxt", "lenet_iter_10000.caffemodel"),
    "cifar10_quick/expected.npz": ("cifar10_quick.prototxt", "cifar10_quick_iter_5000.caffemodel"),
    "cifar10_quick_h5/expected.npz": ("deploy.prototxt", "cifar10_quick_iter_5000.caffemodel.h5"),
    "resnet20_cifar10/expected.npz": ("deploy.prototxt", "cifar10_res20_iter_64000.caffemodel"),
    "squeezenet/expected.npz": ("deploy.prototxt", "squeezenet_v1.0.caffemodel"),
    "fsrcnn/expected.npz": ("FSRCNN_mat.prototxt", "snapshot_iter_2546000.caffemodel"),
    "mtcnn/det1.expected.npz": ("det1.prototxt", "det1.caffemodel"),
    "mtcnn/det2.expected.npz": ("det2.prototxt", "det2.caffemodel"),
    "mtcnn/det3.expected.npz": ("det3.prototxt", "det3.caffemodel"),
}


def test_all_are_compared(shared: Path) -> None:
    found = {path.relative_to(shared / "models").as_posix() for path in (shared / "models").glob("**/*expected.npz")}
    assert found == set(MODELS)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("name", MODELS)
def test_model(shared: Path, name: str) -> None:
    folder = (shared / "models" / name).parent
    prototxt, weights = MODELS[name]
    with np.load(shared / "models" / name) as file:
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
