"""Where oneDNN's own way would not be right, another is taken."""

from __future__ import annotations

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._arrays import channels_innermost
from pycaffe_lite.engines.onednn._library import Library
from tests.graph.nets import conv, inputs, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn")
RNG = np.random.default_rng(0)


def test_a_large_number_stays_in_no_other_lrn_window() -> None:
    """oneDNN keeps a running sum over the channels of arrays in plain order."""
    net = net_of(inputs(x=(2, 16, 7, 9)) + layer("norm", "LRN", "x", "y", "lrn_param { alpha: 1 }"), caffe.TEST)
    x = RNG.normal(size=(2, 16, 7, 9)).astype(np.float32)
    x[:, 3] *= 1e4
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    sums = sum(squares[:, i : i + 16] for i in range(5))
    np.testing.assert_allclose(net.forward(x=x)["y"], x * (1 + sums / 5) ** -0.75, rtol=1e-4)


@pytest.mark.parametrize("k", [2, 16, 4096])
def test_vectors_of_weights_that_lie_across_and_along(k: int) -> None:
    """oneDNN's products take the stride of an axis of one place for the distance of rows."""
    text = inputs(x=(64, k)) + "".join(
        layer(name, "InnerProduct", "x", name, f"inner_product_param {{ {p} {FILLER} }} loss_weight: 1")
        for name, p in (("a", "num_output: 1 transpose: true"), ("b", "num_output: 10"))
    )
    net = net_of("force_backward: true\n" + text, caffe.TRAIN)
    for items in (64, 1):
        net.blobs["x"].reshape(items, k)
        net.blobs["x"].data[...] = RNG.normal(size=(items, k))
        net.clear_param_diffs()
        net.forward()
        net.backward()
        a, b = (net.params[name][0] for name in "ab")
        expected = a.data.sum(axis=1) + b.data.sum(axis=0)
        np.testing.assert_allclose(net.blobs["x"].diff, np.broadcast_to(expected, (items, k)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(a.diff[:, 0], net.blobs["x"].data.sum(axis=0), rtol=1e-4, atol=1e-4)


FILLER = 'weight_filler { type: "gaussian" }'


def test_the_biases_gradient_of_many_items_is_numpys() -> None:
    """oneDNN adds up numbers one by one."""
    text = layer("ip", "InnerProduct", "x", "y", "inner_product_param { num_output: 2 } loss_weight: 0.1")
    net = net_of(inputs(x=(60001, 2)) + text)
    for passes in (1, 2):
        net.forward()
        net.backward()
        np.testing.assert_allclose(net.params["ip"][1].diff, passes * 6000.1, rtol=1e-5)


def test_means_of_large_windows_are_numpys() -> None:
    """oneDNN adds up numbers one by one."""
    text = layer("mean", "Pooling", "x", "y", "pooling_param { pool: AVE global_pooling: true }")
    net = net_of(inputs(x=(1, 2, 400, 300)) + text, caffe.TEST)
    np.testing.assert_allclose(net.forward(x=np.full((1, 2, 400, 300), 0.1))["y"], 0.1, rtol=1e-6)


@pytest.mark.parametrize("engine", ["onednn", "numpy"])
def test_statistics_of_many_places(engine: str) -> None:
    """oneDNN adds up numbers one by one: over all of these, 1e-4 of the variance would be lost."""
    caffe.set_engine(engine)
    text = (
        inputs(x=(8, 1, 224, 224))
        + conv("c", "x", outputs=8, kernel=1)
        + layer("norm", "BatchNorm", "c", "n", "batch_norm_param { moving_average_fraction: 0 }")
        + layer("scale", "Scale", "n", "n", "scale_param { bias_term: true }")
    )
    net = net_of("force_backward: true\n" + text, caffe.TRAIN, seed=1)
    rng = np.random.default_rng(0)
    net.params["c"][0].data[...] = np.linspace(-2, 1, 8).reshape(8, 1, 1, 1)
    net.blobs["x"].data[...] = rng.normal(size=(8, 1, 224, 224))
    net.forward()
    x, (mean, variance, _) = net.blobs["c"].data.astype(np.float64), net.params["norm"]
    np.testing.assert_allclose(mean.data, x.mean(axis=(0, 2, 3)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(variance.data, x.var(axis=(0, 2, 3), ddof=1), rtol=3e-6)
    dy = rng.random((8, 8, 224, 224), np.float32)
    net.backward(n=dy)
    exact = (x - x.mean(axis=(0, 2, 3), keepdims=True)) / np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + 1e-5)
    gradients = [blob.diff for blob in net.params["scale"]]
    np.testing.assert_allclose(gradients[1], dy.sum(axis=(0, 2, 3), dtype=np.float64), rtol=3e-6)
    limit = 2e-6 * np.abs(dy * exact).sum(axis=(0, 2, 3)).max()
    np.testing.assert_allclose(gradients[0], (dy * exact).sum(axis=(0, 2, 3)), rtol=0, atol=limit)
    means = [a.mean(axis=(0, 2, 3), keepdims=True) for a in (dy.astype(np.float64), dy * exact)]
    dx = (dy - means[0] - exact * means[1]) / np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(net.blobs["c"].diff, dx, atol=2e-6 * np.abs(dx).max())


@pytest.mark.parametrize("behind", ["Scale", "ReLU"])
def test_images_of_one_place_whose_layouts_are_those_of_the_channels_innermost(behind: str) -> None:
    """Passes that are done again read where the last one has written."""
    channels_innermost((4, 32, 1, 1))
    text = inputs(x=(4, 32, 1, 1)) + layer("norm", "BatchNorm", "x", "n") + layer("s", behind, "n", "n")
    text += layer("ip", "InnerProduct", "n", "y", f"inner_product_param {{ num_output: 5 {FILLER} }}")
    net = net_of(text, caffe.TEST)
    variance, factor = net.params["norm"][1:]
    variance.data[...], factor.data[...] = 2, 1
    for seed in range(6):
        x = np.random.default_rng(seed).normal(size=(4, 32, 1, 1)).astype(np.float32)
        n = x.reshape(4, 32) / np.sqrt(2 + 1e-5)
        expected = (np.maximum(n, 0) if behind == "ReLU" else n) @ net.params["ip"][0].data.T
        np.testing.assert_allclose(net.forward(x=x)["y"], expected, rtol=1e-4, atol=1e-4)


def test_images_of_one_number_behind_lrn() -> None:
    """With one channel and one place no array says in which order it lies."""
    text = (
        inputs(x=(3, 4, 1, 1))
        + conv("c", "x", outputs=1, kernel=1)
        + layer("n", "LRN", "c", "n", "lrn_param { local_size: 3 }")
        + layer("s", "Scale", "n", "n", "scale_param { bias_term: true filler { value: 2 } }")
        + layer("r", "ReLU", "n", "n")
        + layer("o", "Power", "n", "o")
    )
    net = net_of(text, caffe.TEST, seed=1)
    for _ in range(4):
        net.blobs["x"].data[...] = x = RNG.normal(size=(3, 4, 1, 1))
        w, b = (blob.data for blob in net.params["c"])
        c = np.einsum("nchw,oc->nohw", x, w[:, :, 0, 0]) + b.reshape(1, -1, 1, 1)
        expected = np.maximum(0, 2 * c * (1 + c**2 / 3) ** -0.75)
        np.testing.assert_allclose(net.forward()["o"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [40, 112])
@pytest.mark.parametrize("channels", [1, 2, 4, 5, 7, 8, 12, 15, 16, 20])
def test_nothing_is_written_behind_the_scratchpad(channels: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As oneDNN's 1 by 1 kernels with a stride would, where there are fewer channels than their blocks have."""
    behind: list[Array] = []

    def exactly(self: Library, nbytes: int) -> Array:
        self.tell_thread()
        memory = np.full(nbytes + (1 << 18), 7, np.uint8)
        behind.append(memory[nbytes:])
        self.this_thread.scratchpad = memory[:nbytes]
        return self.this_thread.scratchpad

    monkeypatch.setattr(Library, "scratchpad", exactly)
    shape = (2, channels, size, size)
    params = f"convolution_param {{ num_output: 6 kernel_size: 1 stride: 2 {FILLER} }}"
    net = net_of("force_backward: true\n" + inputs(x=shape) + layer("c", "Convolution", "x", "y", params), caffe.TRAIN)
    x = net.blobs["x"].data
    x[...] = RNG.normal(size=shape)
    net.forward()
    dy = RNG.normal(size=net.blobs["y"].shape)
    net.backward(y=dy)
    dw = np.einsum("nohw,nchw->oc", dy, x[:, :, ::2, ::2])
    np.testing.assert_allclose(net.params["c"][0].diff[:, :, 0, 0], dw, rtol=0, atol=1e-5 * dy.size / 6)
    assert behind
    assert all((memory == 7).all() for memory in behind)
