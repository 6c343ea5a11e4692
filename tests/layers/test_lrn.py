"""LRN, in whichever order its bottom lies."""

from __future__ import annotations

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.order import Order, order_of
from tests.graph.nets import conv, inputs, layer
from tests.layers.nets import net_of


@pytest.fixture
def order(engine: str) -> Order:
    """How the engine's convolutions leave their tops."""
    return Order.BATCH_INNERMOST if engine == "numpy" else Order.CHANNELS_INNERMOST


def text(params: str) -> str:
    norm = layer("norm", "LRN", "a", "b", f"lrn_param {{ engine: CAFFE local_size: 3 alpha: 2 {params} }}")
    return "force_backward: true\n" + inputs(x=(20, 8, 9, 7)) + conv("a", "x", 18) + norm + conv("c", "b", 16)


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_as_in_plain_order(order: Order, region: str, beta: float) -> None:
    prototxt = text(f"norm_region: {region} beta: {beta} k: 1.5")
    net, plain = net_of(prototxt, seed=1), net_of(prototxt, seed=1, dtype=np.float64)
    for name in "abc":
        assert not plain.blobs[name].data.any()  # whoever looks has them in plain order from there on
        assert not plain.blobs[name].diff.any()
    for a, b in zip(net.learnable.blobs, plain.learnable.blobs, strict=True):
        b.data[...] = a.data
    rng = np.random.default_rng(2)
    for _ in range(2):
        x, dy = rng.normal(size=(20, 8, 9, 7)), rng.normal(size=plain.blobs["c"].shape)
        for n in (net, plain):
            n.blobs["x"].data[...] = x.astype(np.float32)
            n.forward()
            n.blobs["c"].diff[...] = dy.astype(np.float32)
            n.backward()
        assert order_of(net.blobs["a"].stored("data")) is order
    for name in ("b", "c"):
        np.testing.assert_allclose(net.blobs[name].data, plain.blobs[name].data, rtol=1e-4, atol=1e-5)
    for name in ("x", "a"):
        np.testing.assert_allclose(net.blobs[name].diff, plain.blobs[name].diff, rtol=1e-4, atol=1e-4)


def test_the_bottom_stays_where_it_is(order: Order) -> None:
    """So passes are done again."""
    net = net_of(text("") + layer("relu", "ReLU", "c", "c") + layer("sigmoid", "Sigmoid", "c", "d"), caffe.TEST)
    net.forward()
    before = net.blobs["a"].stored("data")
    for _ in range(3):
        net.forward()
    assert net.blobs["a"].stored("data") is before
