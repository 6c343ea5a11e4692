"""Convolutions some of whose passes oneDNN has no kernels for: these are numpy's, whatever the others left."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import TRAIN, Net
from pycaffe_lite.engines.onednn._direct import Direct
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn")

FILLERS = 'weight_filler { type: "xavier" } bias_filler { type: "gaussian" }'
PASSES = ("forward", "backward_data", "backward_weights")
MISSING = [some for n in range(4) for some in itertools.combinations(PASSES, n)]


def text(kind: str, num: int, more: str) -> str:
    params = f"convolution_param {{ num_output: 24 kernel_size: 3 pad: 1 {FILLERS} {more} }}"
    net = inputs(x=(num, 18, 12, 10)) + layer("first", "Convolution", "x", "y", params.replace("24", "16"))
    net += layer("pool", "Pooling", "y", "y2", "pooling_param { kernel_size: 3 stride: 2 }")
    net += layer("target", kind, "y2", "z", params) + layer("relu", "ReLU", "z", "z")
    return "force_backward: true\n" + net + layer("sum", "Reduction", "z", "s", "loss_weight: 1")


def step(net: Net, seed: int) -> None:
    net.blobs["x"].data[...] = np.random.default_rng(seed).normal(size=net.blobs["x"].shape)
    net.forward()
    net.backward()


@pytest.mark.parametrize("missing", MISSING, ids=lambda some: " ".join(some) or "none")
@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("num", [3, 40])
@pytest.mark.parametrize("more", ["", "dilation: 2 bias_term: false"])
def test_as_numpy(kind: str, num: int, more: str, missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a batch for which numpy's own forward pass goes another way, and with gradients that add up."""
    describe = Direct._describe
    monkeypatch.setattr(Direct, "_describe", lambda made, what: iter(()) if what in missing else describe(made, what))
    net = net_of(text(kind, num, more), TRAIN, seed=2)
    caffe.set_engine("numpy")
    numpy = net_of(text(kind, num, more), TRAIN, seed=2)
    for n, seed in itertools.product((net, numpy), range(3)):
        step(n, seed)
    for name, blob in numpy.blobs.items():
        for got, want in ((net.blobs[name].data, blob.data), (net.blobs[name].diff, blob.diff)):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * max(1, np.abs(want).max()), err_msg=name)
    for name, blobs in numpy.params.items():
        for got, want in zip(net.params[name], blobs, strict=True):
            limit = 1e-5 * np.abs(want.diff).max()
            np.testing.assert_allclose(got.diff, want.diff, rtol=1e-4, atol=limit, err_msg=name)


def test_what_a_forward_pass_by_numpy_has_left_is_not_used_behind_one_by_onednn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its rows of images of another shape, where the layer before has not run since."""
    describe = Direct._describe

    def some(made: Direct, what: str) -> object:
        missing = ("forward",) if made._x[2] == 10 else ("backward_data", "backward_weights")
        return iter(()) if made._x[1] == 8 and what in missing else describe(made, what)

    monkeypatch.setattr(Direct, "_describe", some)
    convolutions = [("first", "x", "y", 8), ("target", "y", "z", 16), ("last", "z", "w", 16)]
    prototxt = "force_backward: true\n" + inputs(x=(32, 5, 10, 10))
    for name, bottom, top, outputs in convolutions:
        params = f"convolution_param {{ num_output: {outputs} kernel_size: 2 pad: 1 {FILLERS} }}"
        prototxt += layer(name, "Convolution", bottom, top, params.replace("2 pad", "3 pad" if top == "y" else "2 pad"))
    prototxt += layer("sum", "Reduction", "w", "s", "loss_weight: 1")
    nets = []
    for engine in ("onednn", "numpy"):
        caffe.set_engine(engine)
        net = net_of(prototxt, TRAIN, seed=1)
        net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=(32, 5, 10, 10))
        net.forward()
        net.blobs["x"].reshape(32, 5, 8, 8)
        net.reshape()
        net.forward(start="target")
        net.backward()
        nets.append(net)
    for got, want in zip(*(net.params["target"] for net in nets), strict=True):
        np.testing.assert_allclose(got.diff, want.diff, rtol=1e-4, atol=1e-4 * np.abs(want.diff).max())


def test_shapes_for_which_other_passes_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backward passes by numpy, behind forward passes by oneDNN that follow some by numpy."""
    describe = Direct._describe

    def some(made: Direct, what: str) -> object:
        missing = ("forward",) if made._x[2] > 3 else ("backward_data", "backward_weights")
        return iter(()) if what in missing else describe(made, what)

    monkeypatch.setattr(Direct, "_describe", some)
    net = net_of(text("Convolution", 96, ""), TRAIN, seed=2)
    caffe.set_engine("numpy")
    numpy = net_of(text("Convolution", 96, ""), TRAIN, seed=2)
    for seed, height in enumerate((12, 3, 12, 7, 3)):
        for n in (net, numpy):
            n.blobs["x"].reshape(96, 18, height, 10)
            n.clear_param_diffs()
            step(n, seed)
            if height == 12:
                assert n.layer_dict["target"]._by_batch  # type: ignore[attr-defined]
        for got, want in zip(net.learnable.blobs, numpy.learnable.blobs, strict=True):
            np.testing.assert_allclose(got.diff, want.diff, rtol=1e-4, atol=1e-5 * np.abs(want.diff).max())
        np.testing.assert_allclose(net.blobs["x"].diff, numpy.blobs["x"].diff, rtol=1e-4, atol=1e-4)
