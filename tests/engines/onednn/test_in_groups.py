"""Gradients of weights, sums over many places."""

from __future__ import annotations

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import engines
from pycaffe_lite.engines.onednn import _in_groups
from pycaffe_lite.engines.onednn._in_groups import LEAST_PLACES, MOST_PLACES, group_of
from tests.graph.nets import conv, inputs, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn")
FORCED = "force_backward: true\n"
RNG = np.random.default_rng(0)


def test_groups_are_equal_and_neither_large_nor_tiny() -> None:
    assert group_of((64, 20, 24, 24)) == 64
    assert group_of((32, 64, 112, 112)) == 4
    assert group_of((31, 64, 112, 112)) == 1
    assert group_of((4, 64, 512, 512)) == 1
    assert group_of((30, 64, 64, 64)) == 15
    assert group_of((10_007, 8, 3, 3)) == 10_007
    for num in range(1, 200):
        size = group_of((num, 1, 100, 50))
        assert num % size == 0
        assert LEAST_PLACES <= size * 5000 <= MOST_PLACES


@pytest.mark.parametrize("engine", ["onednn", "numpy"])
def test_sums_over_many_places_are_rounded_little(engine: str) -> None:
    engines.set_engine(engine)
    net = net_of(FORCED + inputs(x=(32, 3, 112, 112)) + conv("c", "x", 16, 5, "pad: 2"), caffe.TRAIN)
    x, dy = (RNG.random(shape, np.float32) for shape in ((32, 3, 112, 112), (32, 16, 112, 112)))
    net.blobs["x"].data[...] = x
    net.forward()
    net.blobs["c"].diff[...] = dy
    net.backward()
    w, b = (blob.diff for blob in net.params["c"])
    in_the_middle = np.einsum("nohw,nchw->oc", dy[:, :2].astype(np.float64), x, optimize=True)
    np.testing.assert_allclose(w[:2, :, 2, 2], in_the_middle, rtol=6e-6)
    np.testing.assert_allclose(b, dy.sum(axis=(0, 2, 3), dtype=np.float64), rtol=6e-6)


def test_a_deconvolutions_biases_over_many_places() -> None:
    params = "num_output: 16 kernel_size: 4 stride: 2 weight_filler { type: 'xavier' }"
    text = inputs(x=(32, 16, 60, 50)) + layer("d", "Deconvolution", "x", "y", f"convolution_param {{ {params} }}")
    net = net_of(FORCED + text + conv("c", "y", 16, 1), caffe.TRAIN)
    net.params["c"][0].data[...] = 0.1 / 16
    net.forward()
    net.backward(c=np.ones(net.blobs["c"].shape))
    np.testing.assert_allclose(net.params["d"][1].diff, np.float32(0.1) * 32 * 122 * 102, rtol=2e-5)


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("more", ["", "group: 2", "bias_term: false", "stride: 2"])
def test_groups_give_what_all_images_do(kind: str, more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they are added to gradients that are there, are done again, and for other numbers of images."""
    monkeypatch.setattr(_in_groups, "MOST_PLACES", 3 * 9 * 8)
    monkeypatch.setattr(_in_groups, "LEAST_PLACES", 1)
    params = f"num_output: 32 kernel_size: 3 pad: 1 weight_filler {{ type: 'gaussian' std: 0.1 }} {more}"
    text = FORCED + inputs(x=(6, 16, 9, 8)) + layer("c", kind, "x", "y", f"convolution_param {{ {params} }}")
    found = []
    for engine in ("onednn", "numpy"):
        engines.set_engine(engine)
        net, rng, sums = net_of(text, caffe.TRAIN, seed=1), np.random.default_rng(5), []
        for num in (6, 6, 6, 6, 5, 6):
            net.blobs["x"].reshape(num, 16, 9, 8)
            net.blobs["x"].data[...] = rng.normal(size=(num, 16, 9, 8))
            net.forward()
            net.blobs["y"].diff[...] = rng.normal(size=net.blobs["y"].shape)
            net.backward()
            sums.append([blob.diff.copy() for blob in net.params["c"]])
            assert np.abs(sums[-1][0]).max() > 1
        found.append(sums)
    for ours, numpys in zip(*found, strict=True):
        for a, b in zip(ours, numpys, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-3)
