from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.layers import inner_product


@pytest.mark.parametrize("transpose", ["true", "false"])
@pytest.mark.parametrize("bias", ["true", "false"])
@pytest.mark.parametrize("items", [1, 2, 3, 20])
def test_forward_whichever_side_is_longer(tmp_path: Path, items: int, bias: str, transpose: str) -> None:
    prototxt = tmp_path / "net.prototxt"
    prototxt.write_text(
        f"""layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: {items} dim: 3 dim: 5 }} }} }}
        layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {{
            num_output: 12 bias_term: {bias} transpose: {transpose} }} }}"""
    )
    net = caffe.Net(str(prototxt), caffe.TEST)
    rng = np.random.default_rng(4)
    for array in (net.blobs["x"].data, *(blob.data for blob in net.params["ip"])):
        array[...] = rng.normal(size=array.shape)
    w = net.params["ip"][0].data
    wanted = net.blobs["x"].data.reshape(items, 15) @ (w if transpose == "true" else w.T)
    if bias == "true":
        wanted += net.params["ip"][1].data
    net.forward()
    np.testing.assert_allclose(net.blobs["y"].data, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("transpose", ["true", "false"])
@pytest.mark.parametrize("block_bytes", [1, 130, 10**9])
def test_the_weights_gradient_in_blocks(
    tmp_path: Path, block_bytes: int, transpose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYCAFFE_LITE_ENGINE", "numpy")
    monkeypatch.setattr(inner_product, "BLOCK_BYTES", block_bytes)
    prototxt = tmp_path / "net.prototxt"
    prototxt.write_text(
        f"""force_backward: true
        layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 4 dim: 3 dim: 5 }} }} }}
        layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {{
            num_output: 7 transpose: {transpose} }} }}"""
    )
    net = caffe.Net(str(prototxt), caffe.TRAIN)
    rng = np.random.default_rng(4)
    x, dy = rng.normal(size=(4, 3, 5)), rng.normal(size=(4, 7))
    net.blobs["x"].data[...], net.blobs["y"].diff[...] = x, dy
    wanted = dy.T @ x.reshape(4, 15)
    wanted = wanted.T if transpose == "true" else wanted
    net.forward()
    for times in (1, 2):
        if times == 1:
            net.learnable.forget_diffs()
        net.backward()
        np.testing.assert_allclose(net.params["ip"][0].diff, times * wanted, rtol=1e-5, atol=1e-5)
