"""LSTM and RNN with a copy of W_h compute what numpy's and Caffe's do."""

from __future__ import annotations

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import Net
from pycaffe_lite.engines.onednn import load, recurrent
from tests.golden.compare import assert_close, computed, golden_cases
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

PARAM = 'num_output: 6 weight_filler { type: "uniform" min: -0.8 max: 0.8 } bias_filler { type: "gaussian" }'


@pytest.fixture(autouse=True)
def small(onednn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine take products of this file's size."""
    load()
    for name in ("MIN_STEPS", "MIN_ITEMS", "MIN_NUMBERS"):
        monkeypatch.setattr(recurrent, name, 1)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many numbers were copied, by copy."""
    made: list[int] = []
    copy = recurrent.Product.copy

    def noted(self: recurrent.Product, w: np.ndarray, out: np.ndarray) -> None:
        made.append(w.size)
        copy(self, w, out)

    monkeypatch.setattr(recurrent.Product, "copy", noted)
    return made


def make(kind: str, engine: str) -> Net:
    caffe.set_engine(engine)
    text = inputs(x=(5, 3, 4), c=(5, 3)) + layer("r", kind, "x c", "y", f"recurrent_param {{ {PARAM} }}")
    net = net_of("force_backward: true " + text + layer("l", "Reduction", "y", "l", "loss_weight: 1"), seed=4)
    caffe.set_engine("onednn")
    return net


def step(net: Net, steps: int, items: int) -> None:
    rng = np.random.default_rng(steps)
    net.blobs["x"].reshape(steps, items, 4)
    net.blobs["c"].reshape(steps, items)
    net.blobs["x"].data[...] = rng.normal(size=(steps, items, 4))
    net.blobs["c"].data[...] = rng.random((steps, items)) < 0.8
    net.forward()
    net.backward()


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("RNN", 1)])
def test_as_numpy(kind: str, gates: int, copies: list[int]) -> None:
    """Whatever the numbers of steps and items, and after weights have changed."""
    net, numpy = (make(kind, engine) for engine in ("onednn", "numpy"))
    for count, shape in enumerate([(5, 3), (2, 7), (5, 3), (9, 1)]):
        for n in (net, numpy):
            n.params["r"][2].data[...] *= 0.9
            step(n, *shape)
        assert copies == [gates * 6 * 6] * 2 * (count + 1)
        for got, want in zip(net.blobs.values(), numpy.blobs.values(), strict=True):
            np.testing.assert_allclose(got.data, want.data, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(got.diff, want.diff, rtol=1e-5, atol=1e-6)
        for got, want in zip(net.learnable.blobs, numpy.learnable.blobs, strict=True):
            np.testing.assert_allclose(got.diff, want.diff, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["MIN_STEPS", "MIN_ITEMS", "MIN_NUMBERS"])
def test_left_to_numpy(name: str, copies: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    net = make("LSTM", "onednn")
    size = {"MIN_STEPS": 5, "MIN_ITEMS": 3, "MIN_NUMBERS": 4 * 6 * 6}[name]
    monkeypatch.setattr(recurrent, name, size + 1)
    step(net, 5, 3)
    assert copies == []
    monkeypatch.setattr(recurrent, name, size)
    step(net, 5, 3)
    assert len(copies) == 2


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_golden(kind: str, copies: list[int]) -> None:
    for golden in golden_cases(kind):
        copies.clear()
        assert_close(computed(golden), golden.expected, tolerance=1e-4, at_least=0.01)
        assert copies
