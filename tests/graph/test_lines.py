"""Layers in a line whose tops but for the last are not written: nobody can tell but by what is lost."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from pycaffe_lite import TEST, Net
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn._direct import Direct
from pycaffe_lite.errors import MemoryReusedError
from tests.graph.nets import conv, inputs, ip, layer
from tests.graph.test_absorbed import absorbed, agree, ask, end_early, make, norm, relu, watch
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn", "poisoned_buffers")

DATA = inputs(x=(2, 3, 37, 33))
FIRST = conv("first", "x", 16, more="stride: 2") + norm("first") + relu("first")
EACH = conv("each", "first", 16, more="group: 16 stride: 2") + relu("each", 0.1)
WIDE = conv("wide", "each", 32, kernel=1) + relu("wide")
POOL = layer("pool", "Pooling", "wide", "pool", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }")
THIN = conv("thin", "pool", 16, kernel=1) + norm("thin")
LAST = conv("last", "thin", 5)
NET = DATA + FIRST + EACH + WIDE + POOL + THIN + LAST
BETWEEN = ["first", "each", "wide", "pool"]


def in_line(net: Net) -> bool:
    """Whether the last pass went so."""
    return bool(net.layer_dict["first"]._line._steps) and net.blobs["first"].lost


def test_what_is_between_is_not_written(by_layers: None) -> None:
    net, plain = make(NET), make(NET, reuse_memory=False)
    members = "first bn_first scale_first relu_first each relu_each wide relu_wide pool thin bn_thin scale_thin".split()
    assert absorbed(net) == [members]
    agree(net, plain)
    assert in_line(net)
    assert net.memory_use().data == net._reuse.nbytes  # type: ignore[union-attr]
    for name in BETWEEN:
        with pytest.raises(
            MemoryReusedError, match=f"There are no numbers of blob '{name}', as layer 'first' does without them"
        ):
            net.blobs[name].data  # noqa: B018
        assert not net.blobs[name]._data.allocated
    within = {net._nodes[i].name: by.name for i, by in net._passes.chains.within().items()}
    assert all(within[name] == "first" for name in members[1:])


SHORTER = {
    "no image": (inputs(x=(2, 16, 37, 33)) + NET.removeprefix(DATA), 0),
    "an output": (DATA + FIRST + EACH + WIDE + POOL + THIN, 12),
    "read elsewhere too": (NET + conv("more", "pool"), 0),
    "channels that do not fill blocks": (NET.replace("num_output: 32", "num_output: 30"), 0),
    "several places to a convolution": (NET.replace(THIN, conv("thin", "pool", 16)), 0),
    "groups of channels": (NET.replace("group: 16", "group: 4"), 0),
    "too large": (DATA + FIRST + EACH + conv("thin", "each", 32, kernel=1) + LAST, 0),
    "something else between": (NET.replace(POOL, POOL + layer("exp", "Exp", "pool", "pool")), 0),
}


@pytest.mark.parametrize(("text", "count"), SHORTER.values(), ids=SHORTER)
def test_other_lines(text: str, count: int, by_layers: None) -> None:
    net = make(text)
    assert [len(each) for each in absorbed(net)] == ([count] if count else [])
    agree(net, make(text, reuse_memory=False))


def test_only_in_nets_that_reuse_memory() -> None:
    net = make(NET, reuse_memory=False)
    net.forward()
    assert net.layer_dict["first"]._line is None
    assert np.isfinite(net.blobs["pool"].data).all()


@pytest.mark.parametrize("name", [*BETWEEN, "thin"])
@pytest.mark.parametrize("before", [0, 2])
def test_whoever_asks_gets_it_from_then_on(name: str, before: int, by_layers: None) -> None:
    ask(NET, name, before)


@pytest.mark.parametrize("end", [*BETWEEN, "thin"])
def test_passes_that_end_early(end: str, by_layers: None) -> None:
    assert in_line(end_early(NET, end))


def test_watched_layer_by_layer(by_layers: None) -> None:
    assert in_line(watch(NET, set(BETWEEN)))


def test_memory_of_watched_passes(by_layers: None) -> None:
    """Two of the blobs between are there at a time, and none once they are not written any more."""
    net = make(NET)
    before = net.memory_use().data
    net.after_forward(lambda index: None)
    net.forward()
    sizes = sorted(net.blobs[name].nbytes for name in BETWEEN)
    assert net.memory_use().data - before <= sum(sizes[-2:]) + net.blobs["last"].nbytes + net.blobs["thin"].nbytes
    memories = [weakref.ref(net.blobs[name]._data.buffer._memory.base) for name in BETWEEN]  # type: ignore[union-attr]
    assert len({id(memory()) for memory in memories}) == 2
    net._passes.callbacks.after_forward.clear()
    net.forward()
    assert in_line(net)
    assert [memory() for memory in memories] == [None] * 4


def test_a_user_who_shares_a_blob(by_layers: None) -> None:
    net, plain = make(NET), make(NET, reuse_memory=False)
    mine = Blob(net.blobs["wide"].shape)
    net.blobs["wide"].share_data(mine)
    agree(net, plain)
    np.testing.assert_allclose(mine.data, plain.blobs["wide"].data, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_not_finite(value: float, by_layers: None) -> None:
    net, plain = make(NET), make(NET, reuse_memory=False)
    net.forward()
    for n in (net, plain):
        n.params["scale_thin"][0].data[1] = value
    np.testing.assert_array_equal(np.isnan(net.forward()["last"]), np.isnan(plain.forward()["last"]))
    assert not net.blobs["pool"].lost or not in_line(net)
    for n in (net, plain):
        n.params["scale_thin"][0].data[1] = 0.7
    agree(net, plain)
    assert in_line(net)


@pytest.mark.parametrize("value", [np.inf, np.nan, -np.inf])
def test_inputs_that_are_not_finite(value: float, by_layers: None) -> None:
    net, plain = make(NET), make(NET, reuse_memory=False)
    for n in (net, plain):
        n.blobs["x"].data[0, 1, 5, 5] = value
    got, expected = net.forward()["last"], plain.forward()["last"]
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
    assert not np.isfinite(got).all()


def test_shapes_and_weights_may_change(by_layers: None) -> None:
    net, plain = make(NET), make(NET, reuse_memory=False)
    for shape in ((1, 3, 37, 33), (5, 3, 41, 35), (2, 3, 37, 33)):
        for n in (net, plain):
            n.blobs["x"].reshape(*shape)
            n.params["each"][0].data[...] *= 0.8
        agree(net, plain)
        assert in_line(net)


def test_shapes_that_do_not_suit_all_layers(by_layers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if one image's depthwise convolution had no kernel."""
    has = Direct.has
    monkeypatch.setattr(Direct, "has", lambda made, what: made._x[:2] != (1, 32) and has(made, what))
    text = NET.replace(THIN, conv("thin", "pool", 32, more="group: 32 stride: 2"))
    net, plain = make(text), make(text, reuse_memory=False)
    for shape in ((2, 3, 37, 33), (1, 3, 19, 17), (2, 3, 37, 33)):
        for n in (net, plain):
            n.blobs["x"].reshape(*shape)
        agree(net, plain)
        assert (net.layer_dict["thin"]._primitives is None) is (shape[0] == 1)


def test_a_layer_that_has_run_alone_since(by_layers: None) -> None:
    """With another copy of its weights, where that of the line was."""
    text = NET.replace(WIDE, conv("wide", "each", 32, kernel=1) + norm("wide"))
    net, plain = make(text), make(text, reuse_memory=False)
    agree(net, plain)
    with pytest.raises(MemoryReusedError, match=r"no numbers of blob 'each'.*\(layer 'wide' of type Convolution"):
        net.forward(start="wide")
    agree(net, plain)


def test_an_image_that_lies_otherwise(by_layers: None) -> None:
    text = (
        DATA
        + conv("x1", "x", 3, kernel=1)
        + conv("first", "x1", 16, more="stride: 2")
        + EACH
        + WIDE
        + POOL
        + THIN
        + LAST
    )
    net = make(text)
    agree(net, make(text, reuse_memory=False))
    assert in_line(net)


def test_float64_is_numpys() -> None:
    net = net_of(NET, TEST, seed=4, reuse_memory=True, dtype=np.float64)
    assert absorbed(net) == []


PRODUCTS = (
    inputs(x=(4, 3, 2))
    + ip("a", "x", "a", 5)
    + layer("sigmoid", "Sigmoid", "a", "s")
    + ip("b", "s", "b", 7)
    + layer("elu", "ELU", "b", "b", "elu_param { alpha: 0.7 }")
    + layer("tanh", "TanH", "b", "t")
    + layer("relu", "ReLU", "t", "t")
    + ip("c", "t", "c", 2)
    + layer("exp", "Exp", "c", "e")
)


def test_inner_products_and_the_neurons_behind_them() -> None:
    net, plain = make(PRODUCTS), make(PRODUCTS, reuse_memory=False)
    assert absorbed(net) == [["a", "sigmoid"], ["b", "elu", "tanh", "relu"]]
    for _ in range(2):
        agree(net, plain)
        assert net.blobs["a"].lost
        assert net.blobs["b"].lost
    for n in (net, plain):
        n.params["b"][1].data[2] = -np.inf  # of which a ReLU in the same pass makes NaN
    agree(net, plain)
    assert np.isfinite(net.forward()["e"]).all()


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("name", ["a", "b"])
def test_asking_for_an_inner_product(name: str, before: int) -> None:
    ask(PRODUCTS, name, before)


def test_inner_products_of_another_axis_have_no_line() -> None:
    text = inputs(x=(4, 3, 2)) + ip("a", "x", "a", 5).replace("num_output", "axis: 2 num_output")
    assert absorbed(make(text + layer("sigmoid", "Sigmoid", "a", "s"))) == []
