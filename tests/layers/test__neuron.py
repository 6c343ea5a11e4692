"""Neurons compute the same whatever order their blobs lie in, and leave it to these."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import Net
from pycaffe_lite.order import Order, order_of
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

NEURONS = {
    "AbsVal": "",
    "BNLL": "",
    "Clip": "clip_param { min: -0.4 max: 0.7 }",
    "ELU": "elu_param { alpha: 0.7 }",
    "ELU below 0": "elu_param { alpha: -0.7 }",
    "Exp": "exp_param { base: 2 scale: 0.5 shift: 0.25 }",
    "Log": "log_param { scale: 0.01 shift: 3 }",
    "PReLU": "",
    "PReLU shared": "prelu_param { channel_shared: true }",
    "Power": "power_param { power: 2 scale: 0.5 shift: 0.25 }",
    "ReLU": "relu_param { negative_slope: 0.25 }",
    "Sigmoid": "",
    "Swish": "swish_param { beta: 1.5 }",
    "TanH": "",
}
CONV = 'num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } bias_filler { type: "gaussian" }'


def make(name: str, in_place: bool, looked_at: bool) -> Net:
    """A neuron between two convolutions, after two steps."""
    top = "a" if in_place else "n"
    net = net_of(
        inputs(x=(18, 3, 9, 7))
        + layer("a", "Convolution", "x", "a", f"convolution_param {{ {CONV} }}")
        + layer("n", name.split()[0], "a", top, NEURONS[name])
        + layer("b", "Convolution", top, "b", f"convolution_param {{ {CONV} }}")
        + layer("i", "InnerProduct", "b", "i", 'inner_product_param { num_output: 5 weight_filler { type: "xavier" } }')
        + layer("l", "Reduction", "i", "l", "loss_weight: 1 reduction_param { operation: SUMSQ }"),
        seed=5,
    )
    if name.startswith("PReLU"):
        slope = net.params["n"][0].data
        slope[...] = 0.25 + 0.5 * np.arange(slope.size).reshape(slope.shape)
    if looked_at:
        for blob in net.blobs.values():
            blob.get("data")
            blob.get("diff")
    for seed in range(2):
        net.blobs["x"].data[...] = np.random.default_rng(seed).normal(size=net.blobs["x"].shape)
        net.forward()
        net.backward()
    return net


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", NEURONS)
def test_in_any_order(name: str, in_place: bool) -> None:
    net, plain = (make(name, in_place, looked_at) for looked_at in (False, True))
    between = [blob for blob_name, blob in net.blobs.items() if blob_name in "anb"]
    assert len(between) == 3 - in_place
    for blob in between:
        assert order_of(blob.stored("data")) is order_of(blob.stored("diff")) is not Order.PLAIN
    for blob_name, blob in plain.blobs.items():
        assert order_of(blob.stored("data")) is Order.PLAIN
        np.testing.assert_allclose(net.blobs[blob_name].data, blob.data, rtol=1e-4, atol=1e-5, err_msg=blob_name)
        np.testing.assert_allclose(net.blobs[blob_name].diff, blob.diff, rtol=1e-4, atol=1e-4, err_msg=blob_name)
    for got, want in zip(net.learnable.blobs, plain.learnable.blobs, strict=True):
        assert want.diff.any()
        np.testing.assert_allclose(got.diff, want.diff, rtol=1e-3, atol=1e-3)
