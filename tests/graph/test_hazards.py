"""In-place layers: gradients and values as if nothing ran in place, memory shared wherever that does no harm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import TEST, Net
from pycaffe_lite._typing import Array
from tests.graph.nets import assert_close, fill, gradients, inputs, ip, layer, loss_of, numerical, power
from tests.layers.nets import net_of

DATA = inputs(x=(3, 4), t=(3, 5))
LOSS = layer("loss", "EuclideanLoss", "b t", "loss")


def split(bottom: str, tops: str) -> str:
    return layer("split", "Split", bottom, tops)


# Each net's in-place layer, "here", would spoil something. `here` is written with its bottom and top.
HERE = power("here", "IN", "OUT", 1, -1.5, 0.25)
HAZARDS = {
    "producer reads its top data": (
        ip("a", "x", "a", 5) + layer("s", "Sigmoid", "a", "h") + HERE + ip("b", "h", "b", 5),
        "h",
    ),
    "producer reads its top data, behind a view": (
        ip("a", "x", "a", 5)
        + layer("s", "TanH", "a", "s")
        + layer("f", "Flatten", "s", "h")
        + HERE
        + ip("b", "h", "b", 5),
        "h",
    ),
    "in-place producer reads its bottom data": (
        ip("a", "x", "h", 5) + layer("r", "ReLU", "h", "h") + HERE + ip("b", "h", "b", 5),
        "h",
    ),
    "leaky in-place producer reads its bottom data": (
        ip("a", "x", "h", 5)
        + layer("r", "ReLU", "h", "h", "relu_param { negative_slope: 0.3 }")
        + HERE
        + ip("b", "h", "b", 5),
        "h",
    ),
    "a later reader through Split": (
        ip("a", "x", "a", 5)
        + split("a", "h c")
        + HERE
        + ip("p", "h", "p", 5)
        + layer("q", "Sigmoid", "c", "q")
        + layer("e", "Eltwise", "p q", "b"),
        "h",
    ),
    "an earlier reader whose backward reads its bottom": (
        ip("a", "x", "a", 5)
        + split("a", "h c")
        + ip("p", "c", "p", 5)
        + HERE
        + layer("q", "Sigmoid", "h", "q")
        + layer("e", "Eltwise", "p q", "b"),
        "h",
    ),
    "a later reader through Flatten": (
        ip("a", "x", "a", 5)
        + split("a", "h c")
        + layer("f", "Flatten", "c", "f")
        + HERE
        + ip("p", "h", "p", 5)
        + ip("q", "f", "q", 5)
        + layer("e", "Eltwise", "p q", "b"),
        "h",
    ),
    "loss weight on its own top": (
        ip("a", "x", "h", 5) + HERE.replace("power_param", "loss_weight: 3 power_param") + ip("z", "x", "b", 5),
        "h",
    ),
    "a product that divides by its bottoms": (
        ip("a", "x", "a", 5)
        + ip("c", "x", "c", 5)
        + layer("e", "Eltwise", "a c", "h", "eltwise_param { operation: PROD stable_prod_grad: false }")
        + HERE
        + ip("b", "h", "b", 5),
        "h",
    ),
    "cannot run in place": (
        ip("a", "x", "h", 5) + power("here", "IN", "OUT", 2, 0.5, 0.75) + ip("b", "h", "b", 5),
        "h",
    ),
    "cannot run in place and changes the shape": (
        ip("a", "x", "h", 7) + ip("here", "IN", "OUT", 6) + ip("b", "h", "b", 5),
        "h",
    ),
    "two hazards on one blob": (
        ip("a", "x", "a", 5)
        + layer("s", "Sigmoid", "a", "h")
        + HERE
        + layer("s2", "Sigmoid", "h", "h")
        + power("here2", "h", "h", 1, 2.5)
        + ip("b", "h", "b", 5),
        "h",
    ),
}


def nets(text: str, name: str) -> tuple[Net, Net]:
    """The net in place, and the same net with a blob for every layer."""
    in_place = net_of(
        DATA + text.replace('"IN"', f'"{name}"').replace('"OUT"', f'"{name}"') + LOSS, dtype=np.float64, seed=3
    )
    message = caffe.proto.caffe_pb2.NetParameter()
    for node in in_place._nodes:  # written out: versions as names
        one = message.layer.add()
        one.CopyFrom(node.message)
        del one.bottom[:], one.top[:]
        one.bottom.extend(f"v{v}" for v in node.bottom_versions)
        one.top.extend(f"v{v}" for v in node.top_versions)
    apart = Net.from_message(message, dtype=np.float64, seed=3)
    for net in (in_place, apart):
        fill(net)
    return in_place, apart


def node(net: Net, name: str) -> caffe.graph.plan.Node:
    return next(n for n in net._nodes if n.name == name)


def shares(net: Net, name: str) -> bool:
    found = node(net, name)
    found.layer.forward(found.bottoms, found.tops)
    return np.shares_memory(found.bottoms[0].data, found.tops[0].data)


@pytest.mark.parametrize("case", HAZARDS)
def test_gradients_are_those_of_the_net_without_in_place(case: str) -> None:
    in_place, apart = nets(*HAZARDS[case])
    assert not any(any(n.in_place) for n in apart._nodes)
    for _ in range(2):
        found = gradients(in_place)
        assert_close(found, gradients(apart), rtol=1e-12)
        assert loss_of(in_place) == pytest.approx(loss_of(apart), rel=1e-14)
    assert_close(found, numerical(in_place))
    assert not shares(in_place, "here")


@pytest.mark.parametrize("reader", ["ReLU", "Sigmoid"])
def test_dropout_in_place_spoils_no_other_branch(reader: str) -> None:
    """ReLU's backward forgives zeros where nothing comes back to it; here something does, through `c`."""
    relu = layer("r", "ReLU", "a", "a") if reader == "Sigmoid" else ""
    in_place, apart = nets(
        ip("a", "x", "a", 5)
        + relu
        + split("a", "h c")
        + layer("q", reader, "c", "q")
        + layer("here", "Dropout", "h", "h")
        + layer("e", "Eltwise", "h q", "b"),
        "h",
    )
    assert_close(gradients(in_place), gradients(apart), rtol=1e-12)
    assert not shares(in_place, "here")


def test_an_output_that_is_a_view_keeps_its_values() -> None:
    net = net_of(
        inputs(x=(3, 4)) + ip("a", "x", "a", 5) + split("a", "h shown") + power("here", "h", "h") + ip("b", "h", "b", 2)
    )
    fill(net)
    found = net.forward()
    assert sorted(found) == ["b", "shown"]
    np.testing.assert_array_equal(found["shown"], net.blobs["a"].data)
    np.testing.assert_allclose(net.blobs["h"].data, 1.5 * found["shown"] + 0.25, rtol=1e-6)


RELU = layer("here", "ReLU", "h", "h")
HARMLESS = {
    "after a layer that reads only its bottom": ip("a", "x", "h", 5) + RELU + ip("b", "h", "b", 5),
    "dropout after ReLU": ip("a", "x", "h", 5)
    + layer("r", "ReLU", "h", "h")
    + layer("here", "Dropout", "h", "h")
    + ip("b", "h", "b", 5),
    "two ReLUs": ip("a", "x", "h", 5) + layer("r", "ReLU", "h", "h") + RELU + ip("b", "h", "b", 5),
    "TanH, which reads its own top": ip("a", "x", "h", 5) + layer("here", "TanH", "h", "h") + ip("b", "h", "b", 5),
    "readers of the result": ip("a", "x", "h", 5)
    + RELU
    + ip("p", "h", "p", 5)
    + ip("q", "h", "q", 5)
    + layer("e", "Eltwise", "p q", "b"),
    "an affine map": ip("a", "x", "h", 5) + power("here", "h", "h") + ip("b", "h", "b", 5),
    "on the net's input": power("here", "x", "x") + ip("b", "x", "b", 5),
    "producer that does not learn": layer("s", "Sigmoid", "x", "h") + power("here", "h", "h") + ip("b", "h", "b", 5),
    "the last of a view's readers": ip("a", "x", "a", 5)
    + layer("f", "Flatten", "a", "h")
    + RELU
    + ip("b", "h", "b", 5),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_memory_is_shared_where_nothing_is_at_stake(case: str) -> None:
    in_place, apart = nets(HARMLESS[case], "h")
    if case != "on the net's input":  # running it again overwrites that
        assert_close(gradients(in_place), gradients(apart), rtol=1e-12)
    loss_of(in_place)
    assert shares(in_place, "here")


def test_a_net_that_never_runs_backward_shares_more() -> None:
    text, name = HAZARDS["producer reads its top data"]
    text = inputs(x=(3, 4)) + text.replace('"IN"', f'"{name}"').replace('"OUT"', f'"{name}"')
    assert shares(net_of(text, TEST), "here")


@pytest.mark.parametrize("kind", ["Input", "DummyData"])
def test_a_source_whose_blob_must_not_be_overwritten(kind: str) -> None:
    """Users write into net.blobs["x"]: the name must stay with the Input layer's memory."""
    source = (
        inputs(x=(2, 3))
        if kind == "Input"
        else layer("x", "DummyData", "", "x", "dummy_data_param { shape { dim: 2 dim: 3 } data_filler { value: 3 } }")
    )
    net = net_of(source + power("p", "x", "x", 2, 1, 0))
    for _ in range(2):
        if kind == "Input":
            net.blobs["x"].data[...] = 3
        np.testing.assert_array_equal(net.forward()["x"], 9)
    if kind == "Input":
        net.blobs["x"].reshape(1, 5)
        net.blobs["x"].data[...] = -2
        np.testing.assert_array_equal(net.forward()["x"], [[4] * 5])


def test_overwritten_names_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    net_of(DATA + ip("a", "x", "a", 5) + layer("s", "Sigmoid", "a", "b") + power("p", "b", "b") + LOSS)
    assert "Power 'p' does not run in place on 'b': the backward pass of Sigmoid 's' needs its top data" in caplog.text


# Python layers, whose authors count on running in place where they wrote it so.


class Product(caffe.Layer):
    """y = x0 x1, in place on x0."""

    def reshape(self, bottom: caffe.layer.Blobs, top: caffe.layer.Blobs) -> None:
        """Nothing: top is bottom."""

    def forward(self, bottom: caffe.layer.Blobs, top: caffe.layer.Blobs) -> None:
        for i, factor in enumerate(bottom[1].data):
            top[0].data[i] = bottom[0].data[i] * factor
        top[0].data[...] += bottom[1].data


class Triple(caffe.Layer):
    """y = 3 x, written as its author must when bottom and top are one: it reads no bottom, shapes no top."""

    def reshape(self, bottom: caffe.layer.Blobs, top: caffe.layer.Blobs) -> None:
        """Nothing: top is bottom."""

    def forward(self, bottom: caffe.layer.Blobs, top: caffe.layer.Blobs) -> None:
        top[0].data[...] *= 3

    def backward(self, top: caffe.layer.Blobs, propagate_down: object, bottom: caffe.layer.Blobs) -> None:
        bottom[0].diff[...] *= 3


@pytest.fixture
def user_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    module = ModuleType("user_module_of_hazards")
    module.Triple, module.Product = Triple, Product  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


@pytest.mark.parametrize("harmless", [True, False])
def test_python_layers_in_place(user_module: str, harmless: bool) -> None:
    before = ip("a", "x", "h", 5) if harmless else ip("a", "x", "a", 5) + layer("s", "Sigmoid", "a", "h")
    python = layer("here", "Python", "h", "h", f'python_param {{ module: "{user_module}" layer: "Triple" }}')
    after = ip("b", "h", "b", 5) + LOSS
    net = net_of(DATA + before + python + after, dtype=np.float64, seed=3)
    twin = net_of(
        DATA + before + power("here", "h", "g", 1, 3, 0) + after.replace('"h"', '"g"'), dtype=np.float64, seed=3
    )
    for batch in (3, 6, 2):
        for each in (net, twin):
            each.blobs["x"].reshape(batch, 4)
            each.blobs["t"].reshape(batch, 5)
            fill(each)
        assert_close(gradients(net), gradients(twin))
    found = node(net, "here")
    assert found.bottoms[0] is found.tops[0]
    assert (found.bottoms[0] is node(net, "a" if harmless else "s").tops[0]) == harmless
    producer: Array = node(net, "a" if harmless else "s").tops[0].data
    np.testing.assert_allclose(net.blobs["h"].data, producer if harmless else 3 * producer)


def test_a_layer_whose_other_bottom_is_the_same_memory(user_module: str) -> None:
    python = layer("here", "Python", "h c", "h", f'python_param {{ module: "{user_module}" layer: "Product" }}')
    net = net_of(inputs(x=(2, 3)) + split("x", "h c") + python)
    fill(net)
    x = net.blobs["x"].data.copy()
    np.testing.assert_allclose(net.forward()["h"], x * x + x, rtol=1e-6)
