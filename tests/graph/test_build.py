"""Building nets: wiring, its errors with their places, automatic tops, the memory that is needed."""

from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import memory
from pycaffe_lite.errors import CaffeError, GraphError, MemoryLimitError, ShapeError, UnknownTypeError
from tests.graph.nets import inputs, ip, layer, power
from tests.layers.nets import net_of

TRAIN_TEST = """name: "small"
layer {
  name: "data"
  type: "Input"
  top: "data"
  top: "label"
  input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } }
}
layer {
  name: "ip1"
  type: "InnerProduct"
  bottom: "data"
  top: "ip1"
  inner_product_param { num_output: 5 }
}
layer {
  name: "loss"
  type: "SoftmaxWithLoss"
  bottom: "ip1"
  bottom: "label"
  top: "loss"
}
"""


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (
            'bottom: "ip1"',
            'bottom: "ip2"',
            GraphError,
            "Unknown bottom blob 'ip2' (bottom index 0) (layer 'loss' of type SoftmaxWithLoss, FILE:19:3). "
            "Did you mean 'ip1'?",
        ),
        (
            'top: "loss"',
            'top: "data"',
            GraphError,
            "Top blob 'data' produced by multiple sources (layer 'loss' of type SoftmaxWithLoss, FILE:21:3). "
            "Layer 'data' makes it too. Give one of them another name.",
        ),
        (
            'top: "label"',
            'top: "label" top: "data"',
            GraphError,
            "Top blob 'data' produced by multiple sources (layer 'data' of type Input, FILE:6:16).",
        ),
        (
            "InnerProduct",
            "InnerPorduct",
            UnknownTypeError,
            "Unknown layer type 'InnerPorduct' (layer 'ip1' of type InnerPorduct, FILE:11:3). "
            "Did you mean 'InnerProduct'?",
        ),
        (
            "num_output: 5",
            "num_output: 0",
            CaffeError,
            "num_output is 0, it must be at least 1 (layer 'ip1' of type InnerProduct, FILE:14:25)",
        ),
        (
            '  bottom: "label"\n',
            "",
            GraphError,
            "1 bottom blob given, this layer takes 2 bottom blobs (layer 'loss' of type SoftmaxWithLoss, FILE:16:1)",
        ),
        (
            "shape { dim: 2 }",
            "shape { dim: 7 }",
            ShapeError,
            "The labels have shape (7,), predictions of shape (2, 5) need 2 of them (layer 'loss'",
        ),
        ("num_output: 5", "num_output: 4000000000000", CaffeError, ""),
        (
            'name: "small"',
            'input: "data" input_dim: 1',
            GraphError,
            "The net has 1 inputs, and 1 input_dim (FILE:1:15).",
        ),
    ],
)
def test_errors_name_layer_and_place(tmp_path: Path, old: str, new: str, error: type[CaffeError], message: str) -> None:
    assert TRAIN_TEST.count(old) == 1
    path = tmp_path / "net.prototxt"
    path.write_text(TRAIN_TEST.replace(old, new))
    with pytest.raises(error) as e:
        caffe.Net(str(path), caffe.TRAIN)
    assert str(e.value).startswith(message.replace("FILE", str(path)))


def test_a_correct_file(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(TRAIN_TEST)
    net = caffe.Net(path, caffe.TRAIN)
    assert net.name == "small"
    assert net.inputs == ["data", "label"]
    assert net.outputs == ["loss"]


def test_the_label_is_split_in_test_nets_as_in_caffe() -> None:
    text = (
        inputs(x=(2, 1, 4, 4), label=(2,))
        + ip("ip2", "x", "ip2", 10)
        + layer("accuracy", "Accuracy", "ip2 label", "accuracy", "include { phase: TEST }")
        + layer("loss", "SoftmaxWithLoss", "ip2 label", "loss")
    )
    train, test = net_of(text, caffe.TRAIN), net_of(text, caffe.TEST)
    assert list(train.layer_dict) == ["input", "ip2", "loss"]
    assert list(test.layer_dict) == ["input", "label_input_1_split", "ip2", "ip2_ip2_0_split", "accuracy", "loss"]
    assert list(test.blobs) == [
        "x",
        "label",
        "label_input_1_split_0",
        "label_input_1_split_1",
        "ip2",
        "ip2_ip2_0_split_0",
        "ip2_ip2_0_split_1",
        "accuracy",
        "loss",
    ]
    assert test.outputs == ["accuracy", "loss"]


def test_outputs_are_sorted_and_not_read() -> None:
    net = net_of(inputs(x=(2, 3)) + power("p", "x", "z") + power("q", "x", "b") + power("r", "b", "a"))
    assert net.outputs == ["a", "z"]
    assert list(net.forward()) == ["a", "z"]


def test_automatic_tops_are_no_outputs_but_count() -> None:
    text = (
        inputs(x=(2, 3), t=(2, 3))
        + ip("a", "x", "a", 3)
        + layer("l1", "EuclideanLoss", "a t")
        + layer("l2", "EuclideanLoss", "a t", "", "loss_weight: 3")
    )
    net = net_of(text)
    assert net.outputs == []
    assert net.top_names["l1"] == net.top_names["l2"] == ["(automatic)"]
    net.blobs["x"].data[...] = 1
    net.forward()
    assert net._forward(0, len(net.layers) - 1) == pytest.approx(4 * net._nodes[-1].tops[0].data.item())
    net.backward()
    assert np.any(net.params["a"][0].diff)


def test_top_number_is_checked() -> None:
    with pytest.raises(GraphError, match="2 top blobs given, this layer takes 1 top blob "):
        net_of(inputs(x=(2, 3)) + layer("s", "Sigmoid", "x", "a b"))
    with pytest.raises(GraphError, match="0 top blobs given, this layer takes at least 1 top blob "):
        net_of(inputs(x=(2, 3)) + layer("s", "Split", "x"))


# Memory.


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            inputs(huge=(10**12,)),
            ["Blob 'huge' of shape (1000000000000,) needs 3.6 TiB", "layer 'input' of type Input"],
        ),
        (inputs(x=(3, 10**6, 10**6)), ["Blob 'x' of shape (3, 1000000, 1000000) needs 10.9 TiB"]),
        (
            inputs(x=(2, 3)) + ip("big", "x", "y", 4 * 10**9),
            ["A parameter of shape (4000000000, 3) needs 44.7 GiB", "layer 'big' of type InnerProduct"],
        ),
        (
            inputs(x=(10**9, 2)) + power("p", "x", "y") + power("q", "y", "z"),
            ["The net up to blob 'z' of shape (1000000000, 2)"],
        ),
        (inputs(x=(10**8, 2)) + ip("wide", "x", "y", 100), ["Blob 'y' of shape (100000000, 100)", "layer 'wide'"]),
    ],
)
def test_what_does_not_fit_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 20 * 2**30)
    start = time.perf_counter()
    with pytest.raises(MemoryLimitError) as e:
        net_of(text)
    assert time.perf_counter() - start < 0.5
    for part in [
        *names,
        "this machine has 20.0 GiB",
        "net.prototxt:",
        "Is a dimension, a batch size or num_output mistyped?",
    ]:
        assert part in str(e.value)


def test_blobs_in_shared_memory_are_counted_once_for_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caffe's figure counts in-place layers and views again; refusing nets by it would refuse ones that fit."""
    monkeypatch.setattr(memory, "memory_limit", lambda: 4500)
    text = (
        inputs(x=(10, 100))
        + "".join(layer(f"r{i}", "ReLU", "x", "x") for i in range(3))
        + layer("f", "Flatten", "x", "y")
    )
    assert net_of(text).memory_for_data == 5 * 4000


def test_a_net_takes_no_memory_before_it_runs_and_test_nets_no_diffs() -> None:
    net = net_of(inputs(x=(1000, 1000)) + power("p", "x", "y") + layer("f", "Flatten", "y", "z"), caffe.TEST)
    assert not any(b._data.allocated for b in net.blobs.values())
    net.forward()
    assert all(b._data.allocated for b in net.blobs.values())
    assert not any(b._diff.allocated for b in net.blobs.values())
    net = net_of(
        inputs(x=(2, 3), t=(2,)) + ip("a", "x", "a", 5) + layer("l", "SoftmaxWithLoss", "a t", "l"), caffe.TEST
    )
    net.forward()
    assert not any(b._diff.allocated for b in [*net.blobs.values(), *net.learnable.blobs])


def test_a_net_let_go_gives_its_memory_back_at_once() -> None:
    net = net_of(
        inputs(x=(2, 3), t=(2, 5))
        + ip("a", "x", "a", 5)
        + layer("d", "Dropout", "a", "a")
        + layer("l", "EuclideanLoss", "a t", "l")
    )
    net.forward()
    net.backward()
    refs = [weakref.ref(x) for x in (net, net.blobs["a"], net.layer_dict["a"], net._nodes[1])]
    gc.collect()
    gc.disable()
    try:
        del net
        assert [r() for r in refs] == [None] * 4
    finally:
        gc.enable()
