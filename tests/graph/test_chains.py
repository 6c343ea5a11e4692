"""Chains: which layers are one, and that nobody who looks can tell."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.layers.inner_product import InnerProduct
from pycaffe_lite.layers.relu import ReLU
from tests.conftest import choose_engine
from tests.graph.nets import fill, inputs, ip, layer, power
from tests.layers.nets import net_of

DATA = inputs(x=(2, 3))
RELU = layer("relu", "ReLU", "a", "a")
CHAIN = ip("a", "x", "a", 7) + RELU + power("p", "a", "a", shift=0.5)


@pytest.fixture(autouse=True)
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let InnerProducts absorb whatever they are offered; what they ran with others is noted here."""
    found: list[str] = []
    choose_engine("numpy", monkeypatch)

    def forward_with(self: Layer, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> None:
        found.append("+".join([self.type, *(f.type for f in followers)]))
        Layer.forward_with(self, followers, bottom, top)

    monkeypatch.setattr(InnerProduct, "absorbs", lambda self, followers: len(followers))
    monkeypatch.setattr(InnerProduct, "forward_with", forward_with)
    return found


def within(net: Net) -> dict[str, str]:
    """Layers, and in which other layer's pass they run."""
    return {net._nodes[i].name: first.name for i, first in net._passes.chains.within().items()}


def test_layers_in_place_one_after_another() -> None:
    net = net_of(DATA + CHAIN + ip("b", "a", "b", 4) + layer("drop", "Dropout", "b", "b") + ip("c", "b", "c", 2), TEST)
    assert within(net) == {"relu": "a", "p": "a", "drop": "b"}


@pytest.mark.parametrize(
    "text",
    [
        ip("a", "x", "a", 7) + layer("relu", "ReLU", "a", "y"),
        ip("a", "x", "a", 7) + layer("view", "Reshape", "a", "y", "reshape_param { shape { dim: 0 dim: 1 dim: -1 } }"),
        ip("a", "x", "a", 7) + power("p", "x", "y") + RELU,
        ip("a", "x", "a", 7) + layer("scale", "Scale", "a s", "a"),
        ip("a", "x", "a", 7) + layer("relu", "ReLU", "a", "a", "loss_weight: 1"),
        power("a", "x", "a") + RELU,
    ],
    ids=["out of place", "view", "later", "another bottom", "loss", "absorbs nothing"],
)
def test_these_are_none(text: str) -> None:
    assert within(net_of(inputs(x=(2, 3), s=(7,)) + text, TEST)) == {}


def test_a_users_own_layer_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halving.py").write_text(
        "import pycaffe_lite as caffe\nclass Halve(caffe.Layer):\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)\n"
        "    def forward(self, bottom, top): top[0].data[...] = bottom[0].data / 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = layer("own", "Python", "a", "a", 'python_param { module: "halving" layer: "Halve" }')
    net = net_of(DATA + ip("a", "x", "a", 7) + RELU + own + layer("relu2", "ReLU", "a", "a"), TEST)
    assert within(net) == {"relu": "a"}


def test_a_layer_absorbs_as_many_as_it_says(monkeypatch: pytest.MonkeyPatch, ran: list[str]) -> None:
    monkeypatch.setattr(InnerProduct, "absorbs", lambda self, followers: 1)
    net = net_of(DATA + CHAIN, TEST)
    assert within(net) == {"relu": "a"}
    net.forward()
    assert ran == ["InnerProduct+ReLU"]


def test_one_that_may_not_run_in_place_ends_a_chain() -> None:
    loss = layer("loss", "EuclideanLoss", "a t", "loss")
    net = net_of(inputs(x=(2, 3), t=(2, 7)) + ip("a", "x", "a", 7) + RELU + layer("s", "Scale", "a", "a") + loss)
    assert within(net) == {"relu": "a"}


@pytest.fixture
def net(ran: list[str]) -> Net:
    net = net_of(DATA + power("first", "x", "y") + CHAIN.replace('"x"', '"y"') + ip("b", "a", "b", 4), TEST)
    fill(net)
    return net


def test_passes_that_cover_a_chain_run_it_whole(net: Net, ran: list[str]) -> None:
    for go in (
        net.forward,
        lambda: net.forward(start="a"),
        lambda: net.forward(end="p"),
        lambda: net.forward(start="a", end="p"),
    ):
        go()
        assert ran == ["InnerProduct+ReLU+Power"]
        ran.clear()


def test_nets_that_reuse_memory_have_chains(ran: list[str]) -> None:
    net = net_of(DATA + CHAIN + power("q", "a", "b") + power("r", "b", "c"), TEST, reuse_memory=True)
    net.forward()
    assert ran == ["InnerProduct+ReLU+Power"]


def test_passes_into_a_chain_run_its_layers_alone(net: Net, ran: list[str]) -> None:
    for start, end in (("relu", None), (None, "relu"), (None, "a"), ("a", "a"), ("relu", "p")):
        net.forward(start=start, end=end)
    assert ran == []


def test_whoever_watches_layer_by_layer_sees_each(net: Net, ran: list[str], caplog: pytest.LogCaptureFixture) -> None:
    net.debug_info = True
    with caplog.at_level("INFO"):
        net.forward()
    assert [r for r in caplog.messages if "Layer relu, top blob a" in r]
    net.debug_info = False
    net.forward()
    assert len(ran) == 1
    seen = []
    net.after_forward(lambda index: seen.append((index, net.blobs["a"].data.copy())))
    net.forward()
    assert [index for index, _ in seen] == list(range(len(net.layers)))
    between = dict(seen)
    assert (between[2] < 0).any()
    np.testing.assert_array_equal(between[3], np.maximum(between[2], 0))
    np.testing.assert_allclose(between[4], between[3] * 1.5 + 0.5)
    assert len(ran) == 1


def test_before_forward_watches_too(net: Net, ran: list[str]) -> None:
    net.before_forward(lambda index: None)
    net.forward()
    assert ran == []


def test_shapes_may_change_between_passes_of_either_kind(net: Net) -> None:
    for num, end in [(5, None), (4, "a"), (4, None), (6, "relu"), (5, None), (6, "relu"), (2, None)]:
        net.blobs["x"].reshape(num, 3)
        fill(net, num)
        net.forward(end=end)
        x = net.blobs["x"].data * 1.5 + 0.25
        y = x @ net.params["a"][0].data.T + net.params["a"][1].data
        if end != "a":
            y = np.maximum(y, 0)
        if end is None:
            y = y * 1.5 + 0.5
        np.testing.assert_allclose(net.blobs["a"].data, y, rtol=1e-5)


def test_an_error_names_the_layer(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    def reshape(self: ReLU, bottom: Blobs, top: Blobs) -> None:
        raise ShapeError("No such shape")

    monkeypatch.setattr(ReLU, "reshape", reshape)
    net.blobs["x"].reshape(9, 3)
    with pytest.raises(ShapeError, match="layer 'relu' of type ReLU"):
        net.forward()


def test_gradients_come_out_as_without(monkeypatch: pytest.MonkeyPatch, ran: list[str]) -> None:
    text = inputs(x=(2, 3), t=(2, 7)) + CHAIN + layer("loss", "EuclideanLoss", "a t", "loss")
    net = net_of(text, TRAIN)
    monkeypatch.setattr(InnerProduct, "absorbs", lambda self, followers: 0)
    plain = net_of(text, TRAIN)
    for n in (net, plain):
        fill(n)
        for blob, of in zip(n.learnable.blobs, net.learnable.blobs, strict=True):
            blob.data[...] = of.data
        n.forward()
        n.backward()
    assert ran == ["InnerProduct+ReLU"]
    for blob, of in zip(net.learnable.blobs, plain.learnable.blobs, strict=True):
        np.testing.assert_array_equal(blob.diff, of.diff)
        assert blob.diff.any()


def test_a_net_with_chains_goes_when_it_is_let_go() -> None:
    net = net_of(DATA + CHAIN, TEST)
    net.forward()
    gone = weakref.ref(net.layers[1])
    gc.disable()
    try:
        del net
        assert gone() is None
    finally:
        gc.enable()


def test_the_summary_says_where_a_layer_runs(net: Net) -> None:
    assert {row.name: row.engine for row in net.summary().rows} == {
        "input": "",
        "first": "",
        "a": "",
        "relu": "numpy, in a",
        "p": "numpy, in a",
        "b": "",
    }
