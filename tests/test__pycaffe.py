"""What pycaffe's Net has besides passes and weights."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import Net
from pycaffe_lite.errors import GraphError, ShapeError
from tests.graph.nets import fill, inputs, ip, layer
from tests.layers.nets import net_of

NET = (
    inputs(data=(4, 3), label=(4, 2))
    + ip("ip1", "data", "ip1", 5)
    + layer("relu1", "ReLU", "ip1", "ip1")
    + ip("ip2", "ip1", "ip2", 2)
    + layer("loss", "EuclideanLoss", "ip2 label", "loss", "loss_weight: 3")
    + layer("prob", "Softmax", "ip2", "prob")
)
X = np.random.default_rng(5).normal(size=(11, 3)).astype(np.float32)
T = np.random.default_rng(6).normal(size=(11, 2)).astype(np.float32)


@pytest.fixture
def net() -> Net:
    made = net_of("force_backward: true\n" + NET)
    fill(made)
    return made


# Whole arrays.


def one_by_one(net: Net, what: str) -> np.ndarray:
    """A blob's values for X and T, computed without batching: each batch holds one item four times."""
    return np.concatenate([net.forward([what], data=X[[i] * 4], label=T[[i] * 4])[what][:1].copy() for i in range(11)])


@pytest.mark.parametrize("n", [11, 8, 4, 3])
def test_forward_all_runs_batches_and_drops_the_padding(net: Net, n: int) -> None:
    found = net.forward_all(["ip1"], data=X[:n], label=T[:n])
    assert found.keys() == {"ip1", "prob", "loss"}
    for name in ("ip1", "prob"):
        assert len(found[name]) == n
        np.testing.assert_allclose(found[name], one_by_one(net, name)[:n], rtol=1e-6)
    assert found["loss"].shape == (-(-n // 4),)  # one for each batch


def test_what_forward_all_returns_is_not_overwritten(net: Net) -> None:
    first = net.forward_all(data=X, label=T)["prob"]
    kept = first.copy()
    net.forward_all(data=-X, label=T)
    np.testing.assert_array_equal(first, kept)


def test_forward_all_takes_lists(net: Net) -> None:
    found = net.forward_all(data=X[:5].tolist(), label=T[:5].tolist())
    np.testing.assert_allclose(found["prob"], net.forward_all(data=X, label=T)["prob"][:5], rtol=1e-6)


def test_forward_all_wants_all_inputs_of_one_length(net: Net) -> None:
    with pytest.raises(GraphError, match="Input blob arguments do not match net inputs"):
        net.forward_all(data=X)
    with pytest.raises(ShapeError, match="'data': 11, 'label': 10"):
        net.forward_all(data=X, label=T[:10])


def test_whole_arrays_have_to_be_given(net: Net) -> None:
    for method in (net.forward_all, net.forward_backward_all):
        with pytest.raises(GraphError, match=rf"no arrays. net.{method.__name__}\(data=array, label=array\)"):
            method()
    fed = net_of(layer("d", "DummyData", "", "x", "dummy_data_param { shape { dim: 2 } }"))
    with pytest.raises(GraphError, match="has no inputs"):
        fed.forward_all()


def test_forward_backward_all(net: Net) -> None:
    blobs, diffs = net.forward_backward_all(["ip1"], ["ip2"], data=X, label=T)
    assert blobs.keys() == {"ip1", "prob", "loss"}
    assert diffs.keys() == {"data", "label", "ip2"}
    assert [len(diffs[n]) for n in ("data", "label", "ip2")] == [11, 11, 11]
    net.forward(data=X[4:8], label=T[4:8])
    for name, diff in net.backward(["ip2"]).items():
        np.testing.assert_array_equal(diffs[name][4:8], diff)
        assert diff.any()


def test_forward_backward_all_takes_the_outputs_diffs() -> None:
    net = net_of("force_backward: true\n" + inputs(data=(4, 3)) + ip("ip1", "data", "ip1", 2))
    fill(net)
    blobs, diffs = net.forward_backward_all(data=X, ip1=T)
    w, b = (p.data for p in net.params["ip1"])
    np.testing.assert_allclose(blobs["ip1"], X @ w.T + b, rtol=1e-5)
    np.testing.assert_allclose(diffs["data"], T @ w, rtol=1e-5)
    with pytest.raises(GraphError, match="Neither inputs nor outputs of this net: ip3"):
        net.forward_backward_all(data=X, ip3=T)


def test_batches_are_padded_with_zeros(net: Net) -> None:
    pieces = list(net._batch({"data": X[:6], "label": T[:6]}))
    assert [p["data"].shape for p in pieces] == [(4, 3), (4, 3)]
    np.testing.assert_array_equal(pieces[1]["data"], np.concatenate([X[4:6], np.zeros((2, 3))]))
    assert not pieces[1]["label"][2:].any()
    assert list(net._batch({})) == []


# Callbacks.


def test_callbacks_run_around_every_layer(net: Net) -> None:
    seen: list[Any] = []
    for name in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(net, name)(lambda i, name=name: seen.append((name, i)))
    net.forward(end="ip1", data=X[:4], label=T[:4])
    first, last = net._layer_names.index("input"), net._layer_names.index("ip1")
    assert seen == [(n, i) for i in range(first, last + 1) for n in ("before_forward", "after_forward")]
    net.forward()
    seen.clear()
    net.backward(start="loss", end="relu1")
    first, last = net._layer_names.index("loss"), net._layer_names.index("relu1")
    assert seen == [(n, i) for i in range(first, last - 1, -1) for n in ("before_backward", "after_backward")]


def test_callbacks_see_what_has_been_computed_and_what_not(net: Net) -> None:
    index = net._layer_names.index("ip2")
    seen = []
    net.blobs["ip2"].data[...] = 77
    net.before_forward(lambda i: seen.append(net.blobs["ip2"].data[0, 0]) if i == index else None)
    net.after_forward(lambda i: seen.append(net.blobs["ip2"].data[0, 0]) if i == index else None)
    net.forward(data=X[:4], label=T[:4])
    assert seen[0] == 77
    assert seen[1] == net.blobs["ip2"].data[0, 0] != 77


def test_several_callbacks_run_in_their_order_and_their_errors_surface(net: Net) -> None:
    seen = []
    net.before_forward(lambda i: seen.append("a"))
    net.before_forward(lambda i: seen.append("b"))
    net.forward(start="prob")
    assert seen == ["a", "b"]

    def fail(i: int) -> None:
        raise ZeroDivisionError("mine")

    net.after_backward(fail)
    with pytest.raises(ZeroDivisionError, match="^mine$"):
        net.backward()


# Numbers in place of names.


def test_blobs_by_number(net: Net) -> None:
    names = net._blob_names
    assert list(net.blobs) == names
    assert [b is net.blobs[n] for n, b in zip(names, net._blobs, strict=True)] == [True] * len(names)
    assert [names[i] for i in net._inputs] == net.inputs == ["data", "label"]
    assert [names[i] for i in net._outputs] == net.outputs == ["loss", "prob"]
    for i, name in enumerate(net._layer_names):
        assert [names[j] for j in net._bottom_ids(i)] == net.bottom_names[name]
        assert [names[j] for j in net._top_ids(i)] == net.top_names[name]
    assert list(net.layer_dict) == net._layer_names
    assert net._blob_loss_weights == [3 * (n == "loss") for n in names]


def test_nameless_tops_have_numbers_too() -> None:
    net = net_of(
        inputs(x=(2, 3), t=(2, 3))
        + layer("l1", "EuclideanLoss", "x t", "")
        + layer("l2", "EuclideanLoss", "t x", "", "loss_weight: 2")
    )
    at = [i for i, n in enumerate(net._blob_names) if n == "(automatic)"]
    assert len(at) == 2
    assert len({id(b) for b in net._blobs}) == len(net._blobs) == len(net._blob_names)
    assert [net._blob_loss_weights[i] for i in at] == [1, 2]
    assert net._top_ids(net._layer_names.index("l2")) == at[1:]


# Memory.


def test_arrays_outlive_their_net(net: Net) -> None:
    net.forward(data=X[:4], label=T[:4])
    net.backward()
    held = [b.data for b in net.blobs.values()] + [b.diff for p in net.params.values() for b in p]
    blobs = list(net.blobs.values())
    sums = [float(array.sum()) for array in held]
    del net
    gc.collect()
    assert [float(array.sum()) for array in held] == sums
    assert blobs[0].data.shape == (4, 3)


# MemoryData.

MEMORY = """layer { name: "m" type: "MemoryData" top: "x" top: "t"
    memory_data_param { batch_size: 2 channels: 3 height: 5 width: 7 } }"""
IMAGES = np.random.default_rng(4).normal(size=(6, 3, 5, 7)).astype(np.float32)
LABELS = np.arange(6, dtype=np.float32) + 10


def test_set_input_arrays() -> None:
    net = net_of(MEMORY)
    net.set_input_arrays(IMAGES, LABELS)
    net.forward()
    np.testing.assert_array_equal(net.forward()["x"], IMAGES[2:4])
    np.testing.assert_array_equal(net.blobs["t"].data, LABELS[2:4])
    net._set_input_arrays(IMAGES, LABELS.reshape(6, 1, 1, 1))
    np.testing.assert_array_equal(net.forward()["t"], LABELS[:2])


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (IMAGES.astype(np.float64), LABELS, r"data is of float64, the net of float32.*data.astype\(np.float32\)"),
        (IMAGES, LABELS.astype(np.int32), "labels is of int32"),
        (IMAGES[0], LABELS[:3], r"data must have 4 axes, it has shape \(3, 5, 7\)"),
        (IMAGES[:, :, ::-1], LABELS, "data is not C-contiguous"),
        (IMAGES[:, :, :4].copy(), LABELS, r"\(6, 3, 4, 7\)"),
        (IMAGES[:5], LABELS[:5], "5 data, batch_size is 2"),
        (IMAGES, LABELS[:4], "6 data and 4 labels"),
    ],
)
def test_arrays_that_memory_data_cannot_take(images: np.ndarray, labels: np.ndarray, says: str) -> None:
    with pytest.raises(ShapeError, match=says) as caught:
        net_of(MEMORY).set_input_arrays(images, labels)
    assert "layer 'm' of type MemoryData, net.prototxt:1" in str(caught.value)


def test_set_input_arrays_needs_memory_data(net: Net) -> None:
    with pytest.raises(GraphError, match="first layer is of type MemoryData"):
        net.set_input_arrays(IMAGES, LABELS)
