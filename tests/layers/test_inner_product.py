from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.layers import inner_product
from pycaffe_lite.testing import LayerCase, uniform
from tests.layers.nets import net_of


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


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("before", "after"), [((40, 300), (5, 8, 300)), ((5, 8, 300), (40, 300))])
def test_the_number_of_axes_may_change(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """axis: -1 is the last of however many there are."""
    fields = 'num_output: 20 axis: -1 weight_filler { type: "xavier" } bias_filler { value: 0.5 }'
    case = LayerCase("InnerProduct", f"inner_product_param {{ {fields} }}", [uniform(*before)])
    net = net_of(case.prototxt(), seed=1)
    net.forward()
    net.blobs["x0"].reshape(*after)
    x = np.random.default_rng(0).normal(size=after).astype(np.float32)
    net.blobs["x0"].data[...] = x
    w = net.params["target"][0].data
    np.testing.assert_allclose(net.forward()["y0"], x @ w.T + 0.5, rtol=1e-4, atol=1e-5)
    net.blobs["y0"].diff[...] = net.blobs["y0"].data
    net.clear_param_diffs()
    np.testing.assert_allclose(net.backward()["x0"], net.blobs["y0"].data @ w, rtol=1e-4, atol=1e-4)
    dw = net.blobs["y0"].data.reshape(-1, 20).T @ x.reshape(-1, 300)
    np.testing.assert_allclose(net.params["target"][0].diff, dw, rtol=1e-3, atol=1e-3)
