"""Gradients that are the same numbers lie in one memory until one is written, and nobody who looks can tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite._typing import Array
from pycaffe_lite.memory_use import memory_use
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from pycaffe_lite.storage import Storage
from tests.arrays import is_same

from .nets import fill, inputs, ip, layer

CONV = 'convolution_param { num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } }'
SCALE = 'scale_param { filler { type: "gaussian" } bias_term: true }'
START = inputs(x=(18, 3, 4, 3), label=(18,)) + layer("stem", "Convolution", "x", "stem", CONV)
END = ip("ip", "y", "ip", 4) + layer("loss", "SoftmaxWithLoss", "ip label", "loss")


def conv(name: str, bottom: str) -> str:
    return layer(name, "Convolution", bottom, name, CONV)


NETS = {
    "residual, all in place": START
    + layer("stem_relu", "ReLU", "stem", "stem")
    + conv("a", "stem")
    + layer("a_norm", "BatchNorm", "a", "a")
    + layer("a_scale", "Scale", "a", "a", SCALE)
    + layer("sum", "Eltwise", "stem a", "sum")
    + layer("relu", "ReLU", "sum", "sum")
    + conv("b", "sum")
    + layer("b_scale", "Scale", "b", "b", SCALE)
    + layer("y", "Eltwise", "sum b", "y")
    + layer("y_relu", "ReLU", "y", "y"),
    "residual, nothing in place": START
    + layer("first", "ReLU", "stem", "first")
    + conv("a", "first")
    + layer("norm", "BatchNorm", "a", "norm")
    + layer("sum", "Eltwise", "first norm", "sum")
    + layer("y", "ReLU", "sum", "y"),
    "sums of sums": START
    + conv("a", "stem")
    + conv("b", "stem")
    + layer("b_bias", "Bias", "b", "b")
    + layer("ab", "Eltwise", "a b", "ab")
    + conv("c", "ab")
    + layer("c_drop", "Dropout", "c", "c")
    + layer("abc", "Eltwise", "ab c stem", "abc")
    + layer("bias", "Bias", "abc", "bias")
    + layer("y", "Eltwise", "bias a", "y"),
    "coefficients": START
    + conv("a", "stem")
    + layer("a_relu", "ReLU", "a", "a")
    + layer("sum", "Eltwise", "stem a", "sum", "eltwise_param { coeff: 1 coeff: -0.5 }")
    + layer("y", "Eltwise", "sum a", "y", "eltwise_param { coeff: 2 coeff: 1 }"),
    "blocked": START
    + conv("a", "stem")
    + layer("a_relu", "ReLU", "a", "a")
    + layer("y", "Eltwise", "stem a", "y", "propagate_down: true propagate_down: false"),
    "one branch ends in place": START
    + conv("a", "stem")
    + layer("a_relu", "ReLU", "a", "a")
    + layer("y", "Eltwise", "stem a", "y"),
    "a reader that sends nothing": START
    + conv("a", "stem")
    + layer("y", "Eltwise", "stem a", "y")
    + layer("silence", "Silence", "a", ""),
    "loss weights": START
    + conv("a", "stem")
    + layer("sum", "Eltwise", "stem a", "sum", "loss_weight: 0.25")
    + conv("b", "sum")
    + layer("y", "Eltwise", "sum b", "y")
    + layer("norm", "EuclideanLoss", "a stem", "norm", "loss_weight: 0.5"),
    "layers of plain order": START
    + conv("a", "stem")
    + layer("softmax", "Softmax", "a", "a")
    + layer("sum", "Eltwise", "stem a", "sum")
    + layer("norm", "MVN", "sum", "sum")
    + layer("y", "Concat", "sum stem", "y"),
}
Doing = Callable[[caffe.Net], None]


def make(text: str, phase: int = caffe.TRAIN) -> caffe.Net:
    message, positions = parse_text(text + END, pb.NetParameter, "net.prototxt")
    message.state.phase = phase  # type: ignore[assignment]
    net = caffe.Net.from_message(message, positions, seed=1)
    fill(net)
    net.blobs["label"].data[...] = np.arange(18) % 4
    return net


def step(net: caffe.Net, seed: int = 5) -> None:
    labels = net.blobs["label"].data.copy()
    fill(net, seed)
    net.blobs["label"].data[...] = labels
    net.clear_param_diffs()
    net._forward(0, len(net.layers) - 1)
    net._backward(len(net.layers) - 1, 0)


def diffs(net: caffe.Net) -> dict[str, Array]:
    found = {name: blob.diff.copy() for name, blob in net.blobs.items()}
    return found | {f"parameter {i}": blob.diff.copy() for i, blob in enumerate(net.learnable.blobs)}


def without(monkeypatch: pytest.MonkeyPatch, text: str, do: Doing, phase: int = caffe.TRAIN) -> dict[str, Array]:
    """What all gradients are after this, when none share memory."""
    with monkeypatch.context() as m:
        m.setattr(Storage, "take_numbers", lambda self, other: False)
        net = make(text, phase)
        do(net)
        return diffs(net)


def compare(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert found.keys() == expected.keys()
    for name, diff in found.items():
        np.testing.assert_array_equal(diff, expected[name], err_msg=name)


def sharing(net: caffe.Net) -> int:
    """How many gradients are in memory that is another's too."""
    storages = {id(b._diff): b._diff for b in net.blobs.values() if b._diff.allocated}.values()
    return len(storages) - len({id(s.plain() if s.laid is None else s.laid) for s in storages})


@pytest.mark.usefixtures("engine")
def test_it_is_done() -> None:
    all_the_same, one_overwritten = make(NETS["residual, nothing in place"]), make(NETS["one branch ends in place"])
    for seed in (1, 2, 3):
        step(all_the_same, seed)
        assert sharing(all_the_same) == 2
        step(one_overwritten, seed)
        assert sharing(one_overwritten) == 1, "the ReLU in place has written the other"


@pytest.mark.usefixtures("engine")
def test_no_more_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def held() -> list[int]:
        net = make(NETS["sums of sums"])
        return [memory_use(net).gradients for seed in (1, 2, 3) if step(net, seed) is None]  # type: ignore[func-returns-value]

    found = held()
    monkeypatch.setattr(Storage, "take_numbers", lambda self, other: False)
    assert found == held()
    assert found[0] == found[2]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
@pytest.mark.parametrize("kind", NETS)
def test_all_gradients_after_passes(monkeypatch: pytest.MonkeyPatch, kind: str, phase: int) -> None:
    def do(net: caffe.Net) -> None:
        for seed in (1, 2, 3):
            step(net, seed)

    net = make(NETS[kind], phase)
    do(net)
    compare(diffs(net), without(monkeypatch, NETS[kind], do, phase))


@pytest.mark.usefixtures("numpy_alone")
@pytest.mark.parametrize("kind", ["one branch ends in place", "sums of sums"])
def test_after_every_layer(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Also of what a pass that stops there has not overwritten yet."""
    for last in range(len(make(NETS[kind]).layers)):

        def do(net: caffe.Net, last: int = last) -> None:
            step(net, 1)
            step(net, 2)
            net._forward(0, len(net.layers) - 1)
            net.blobs["loss"].diff[...] = 3
            net._backward(len(net.layers) - 1, last)

        net = make(NETS[kind])
        do(net)
        compare(diffs(net), without(monkeypatch, NETS[kind], do))


@pytest.mark.usefixtures("numpy_alone")
@pytest.mark.parametrize("kind", ["one branch ends in place", "sums of sums"])
def test_whoever_writes_into_one_writes_into_no_other(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    names = list(make(NETS[kind]).blobs)
    for name in names[2::2] if kind == "sums of sums" else names[2:]:

        def do(net: caffe.Net, name: str = name) -> None:
            step(net, 1)
            kept = net.blobs[name].diff
            before = kept.copy()
            kept[...] = 7
            net.blobs["x"].diff[...] += before.flat[0]
            step(net, 2)
            assert is_same(kept, net.blobs[name].diff)
            kept *= 2
            net._backward(len(net.layers) - 4, 0)

        net = make(NETS[kind])
        do(net)
        compare(diffs(net), without(monkeypatch, NETS[kind], do))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kind", NETS)
def test_shapes_may_change(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def do(net: caffe.Net) -> None:
        for count in (5, 3, 18, 20, 5):
            net.blobs["x"].reshape(count, 3, 4, 3)
            net.blobs["label"].reshape(count)
            net.reshape()
            net.blobs["label"].data[...] = np.arange(count) % 4
            step(net, count)

    net = make(NETS[kind])
    do(net)
    compare(diffs(net), without(monkeypatch, NETS[kind], do))
