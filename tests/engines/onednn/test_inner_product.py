"""Inner products of few items: numpy's, in blocks of W's rows, but for the gradient of W."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import threads
from pycaffe_lite.engines.onednn import inner_product
from pycaffe_lite.layers import _thin_products

NET = """force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 6 dim: 7 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 50 weight_filler { type: "xavier" } bias_filler { type: "gaussian" } } }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
"""


def results(path: Path, engine: str) -> tuple[caffe.Net, list[np.ndarray]]:
    caffe.set_engine(engine)
    net = caffe.Net(path, caffe.TRAIN, seed=2)
    rng = np.random.default_rng(1)
    net.blobs["x"].data[...] = rng.normal(size=(5, 6, 7))
    for _ in range(2):  # gradients of W add up
        net.forward()
        net.blobs["y"].diff[...] = rng.normal(size=(5, 50))
        net.backward()
    blobs = net.params["ip"]
    return net, [a.copy() for a in (net.blobs["y"].data, net.blobs["x"].diff, blobs[0].diff, blobs[1].diff)]


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("number", [1, 2])
def test_few_items_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(caffe.engines, "_chosen", None)
    monkeypatch.setattr(threads, "_chosen", number)
    monkeypatch.setattr(threads, "LEAST", 1)
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    _, wanted = results(path, "numpy")
    monkeypatch.setattr(inner_product, "MIN_PRODUCTS", 1)
    monkeypatch.setattr(_thin_products, "WITHOUT_COPY", 5 * 42 * 10)
    net, got = results(path, "onednn")
    primitives = net.layers[1]._primitives
    assert primitives.only_weights
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_nan_behind_vectors_of_one_number(tmp_path: Path) -> None:
    """Their layout may have been seen with other strides first, of which oneDNN has its reference alone."""
    from pycaffe_lite.engines.onednn._primitive import strided_layout

    strided_layout((2, 1), (1, 2))
    caffe.set_engine("onednn")
    (tmp_path / "net.prototxt").write_text(
        """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 1 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
                inner_product_param { num_output: 1 weight_filler { type: "constant" value: 1 } } }
        layer { name: "sigmoid" type: "Sigmoid" bottom: "ip" top: "ip" }"""
    )
    net = caffe.Net(tmp_path / "net.prototxt", caffe.TEST)
    for _ in range(3):
        y = net.forward(x=np.array([[np.nan], [0]]))["ip"]
        assert np.isnan(y[0, 0])
        assert y[1, 0] == 0.5
