"""Layers that run in place in a convolution's or inner product's primitive: the same numbers as one after another."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.done import Done
from pycaffe_lite.layer import Blobs
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn")

FILLERS = 'weight_filler { type: "xavier" } bias_filler { type: "gaussian" std: 0.3 }'
SCALE = 'scale_param { bias_term: true filler { type: "gaussian" } bias_filler { type: "gaussian" } }'
CONV = f"convolution_param {{ num_output: 12 group: 2 kernel_size: 3 pad: 1 {FILLERS} }}"
A, B = (layer(name, "Convolution", "x", name, CONV) for name in "ab")
W = layer("w", "Convolution", "x", "w", f"convolution_param {{ num_output: 18 kernel_size: 1 {FILLERS} }}")
MAKERS = {
    "conv": (W, "Convolution", "w", CONV.replace("num_output: 12", "num_output: 24")),
    "bare": (
        "",
        "Convolution",
        "x",
        f"convolution_param {{ num_output: 7 bias_term: false kernel_size: 1 {FILLERS} }}",
    ),
    "ip": ("", "InnerProduct", "x", f"inner_product_param {{ num_output: 11 {FILLERS} }}"),
    "turned": (
        "",
        "InnerProduct",
        "x",
        f"inner_product_param {{ num_output: 11 transpose: true bias_term: false {FILLERS} }}",
    ),
    "pool": (A, "Pooling", "a", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"),
    "mean": (A, "Pooling", "a", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }"),
    "sum": (A + B, "Eltwise", "a b", ""),
    "norm": (A, "BatchNorm", "a", ""),
    "plain norm": ("", "BatchNorm", "x", ""),
    "scaled": (A, "Scale", "a", SCALE),
}
LEARNING = ("conv", "bare", "ip", "turned", "pool", "mean", "sum")
"""Those that may have a tail in TRAIN."""
STAGES = {
    "relu": ("ReLU", ""),
    "leaky": ("ReLU", "relu_param { negative_slope: 0.25 }"),
    "bn": ("BatchNorm", "batch_norm_param { eps: 0.01 }"),
    "scale": ("Scale", SCALE),
    "bare scale": ("Scale", 'scale_param { filler { type: "gaussian" } }'),
    "drop": ("Dropout", ""),
    "sigmoid": ("Sigmoid", ""),
    "tanh": ("TanH", ""),
    "elu": ("ELU", "elu_param { alpha: 0.7 }"),
}
TAILS = [
    "relu",
    "leaky",
    "bn",
    "scale",
    "drop",
    "bn, scale",
    "bn, scale, relu",
    "bare scale, leaky",
    "scale, bn, scale, relu, drop",
    "relu, bn, scale, relu",
    "leaky, relu",
    "sigmoid",
    "tanh, drop",
    "elu, relu",
    "bn, scale, sigmoid",
]
DATA = inputs(x=(3, 8, 7, 5), t=(3, 1))


def chain(maker: str, tail: str) -> str:
    """A net in which the layer "first" makes y, and the tail's layers run in place on it."""
    before, kind, bottoms, params = MAKERS[maker]
    text = DATA + before + layer("first", kind, bottoms, "y", params)
    for i, name in enumerate(tail.split(", ")):
        text += layer(f"{name} {i}", STAGES[name][0], "y", "y", STAGES[name][1])
    return text + layer("last", "InnerProduct", "y", "z", f"inner_product_param {{ num_output: 1 {FILLERS} }}")


def make(text: str, phase: int = TEST, engine: str = "onednn") -> Net:
    caffe.set_engine(engine)
    net = net_of(text, phase, seed=7)
    caffe.set_engine("onednn")
    rng = np.random.default_rng(1)
    for norm in net.layers:
        if norm.type == "BatchNorm":
            mean, var, factor = norm.blobs
            mean.data[...], var.data[...] = rng.normal(size=mean.shape), rng.uniform(1, 3, var.shape)
            factor.data[...] = 2.5
    fill(net)
    return net


def fill(net: Net, seed: int = 2) -> None:
    for name in net.inputs:
        net.blobs[name].data[...] = np.random.default_rng(seed).normal(size=net.blobs[name].shape)


def alone(net: Net) -> Net:
    """Let the net run its layers one by one, as somebody watches."""
    net.after_forward(lambda index: None)
    return net


def agree(net: Net, *others: Net, exactly: bool = False) -> None:
    for other in others:
        for name in net.blobs:
            for what in ("data", "diff") if net.phase == TRAIN else ("data",):
                got, want = (getattr(n.blobs[name], what) for n in (net, other))
                if exactly:
                    np.testing.assert_array_equal(got, want, err_msg=f"{what} of {name}")
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5, err_msg=f"{what} of {name}")


def in_the_first(net: Net) -> list[str]:
    """The layers that run in "first"."""
    return [row.name for row in net.summary().rows if row.engine == "onednn, in first"]


CHAINS = [(maker, tail) for maker in MAKERS for tail in TAILS if maker != "sum" or not re.search("bn|scale", tail)]


@pytest.mark.parametrize(("maker", "tail"), CHAINS)
def test_whole_passes(maker: str, tail: str, monkeypatch: pytest.MonkeyPatch, by_layers: None) -> None:
    text = chain(maker, tail)
    net, apart, numpy = make(text), alone(make(text)), make(text, engine="numpy")
    assert len(in_the_first(net)) == len(tail.split(", "))
    for n in (apart, numpy):
        n.forward()
    one_piece(net, monkeypatch)
    agree(net, apart, numpy)
    assert np.ptp(net.blobs["y"].data) > 0.5


def one_piece(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a forward pass, in which no layer runs alone that is said to be in the first."""
    ran: list[str] = []

    def noted(name: str, forward: Callable[[Blobs, Blobs], Done | None]) -> Callable[[Blobs, Blobs], Done | None]:
        def run(bottom: Blobs, top: Blobs) -> Done | None:
            ran.append(name)
            return forward(bottom, top)

        return run

    with monkeypatch.context() as patch:
        for name, layer in net.layer_dict.items():
            patch.setattr(layer, "forward", noted(name, layer.forward))
        net.forward()
    assert not {"first", *in_the_first(net)} & set(ran)
    assert "last" in ran


@pytest.mark.parametrize("maker", [maker for maker in MAKERS if maker != "sum"])
def test_what_is_written_into_parameters_counts(maker: str) -> None:
    text = chain(maker, "bn, scale, relu")
    net, numpy = make(text), make(text, engine="numpy")
    net.forward()
    for blob in range(sum(len(p) for p in net.params.values())):
        for n in (net, numpy):
            blobs = [b for p in n.params.values() for b in p]
            blobs[blob].data[...] *= 1.5
            n.forward()
        agree(net, numpy)


@pytest.mark.parametrize(("maker", "tail"), CHAINS)
def test_partial_passes_and_looks_in_between(maker: str, tail: str) -> None:
    text, names = chain(maker, tail), tail.split(", ")
    net, numpy = make(text), make(text, engine="numpy")
    inner = [f"{name} {i}" for i, name in enumerate(names)]
    for end in ("first", *inner, None):
        for n in (net, numpy):
            n.forward(end=end)
        agree(net, numpy)
    for start in (*inner, "last"):
        for n in (net, numpy):
            n.forward(end="first")
            n.blobs["y"].data[...] += 0.5
            n.forward(start=start)
        agree(net, numpy)
    for n in (net, numpy):
        n.forward(start="first", end=inner[-1])
        for i in range(len(n.layers)):
            n._forward(i, i)
    agree(net, numpy)


@pytest.mark.parametrize("maker", MAKERS)
def test_reshape_in_between(maker: str) -> None:
    text = chain(maker, "leaky" if maker == "sum" else "bn, scale, leaky")
    net, numpy = make(text), make(text, engine="numpy")
    for num, end in [(3, None), (5, None), (1, "first"), (1, None), (7, "first"), (5, None), (4, None)]:
        for n in (net, numpy):
            n.blobs["x"].reshape(num, 8, 7, 5)
            fill(n)
            n.forward(end=end)
        agree(net, numpy)


@pytest.mark.parametrize("maker", LEARNING)
@pytest.mark.parametrize("tail", ["relu", "leaky"])
def test_training_is_the_same_to_the_bit_whether_or_not_somebody_watches(maker: str, tail: str) -> None:
    text = chain(maker, tail)
    text += layer("loss", "EuclideanLoss", "z t", "loss")
    net, apart, numpy = make(text, TRAIN), alone(make(text, TRAIN)), make(text, TRAIN, engine="numpy")
    assert in_the_first(net) == [f"{tail} 0"]
    for n in (net, apart, numpy):
        n.forward()
        n.backward()
    agree(net, apart, exactly=True)
    agree(net, numpy)
    for blob, same, like in zip(net.learnable.blobs, apart.learnable.blobs, numpy.learnable.blobs, strict=True):
        np.testing.assert_array_equal(blob.diff, same.diff)
        np.testing.assert_allclose(blob.diff, like.diff, rtol=1e-4, atol=1e-4)
        assert blob.diff.any()


def test_what_moves_while_training_runs_alone() -> None:
    loss = layer("loss", "EuclideanLoss", "z t", "loss")
    for tail in ("bn, scale, relu", "drop, relu", "scale, relu"):
        net, numpy = (make(chain("conv", tail) + loss, TRAIN, engine=e) for e in ("onednn", "numpy"))
        assert in_the_first(net) == []
    net, numpy = (make(chain("conv", "relu, bn") + loss, TRAIN, engine=e) for e in ("onednn", "numpy"))
    assert in_the_first(net) == ["relu 0"]
    for n in (net, numpy):
        n.forward()
        n.backward()
    agree(net, numpy)


def test_fixed_statistics_while_training() -> None:
    loss = layer("loss", "EuclideanLoss", "z t", "loss")
    text = chain("conv", "bn, relu").replace("eps", "use_global_stats: true eps") + loss
    net, apart, numpy = make(text, TRAIN), alone(make(text, TRAIN)), make(text, TRAIN, engine="numpy")
    assert in_the_first(net) == []
    for n in (net, apart, numpy):
        n.forward()
        n.backward()
    agree(net, apart, numpy)


@pytest.mark.parametrize(
    ("where", "number"), [("x", np.nan), ("bias", np.nan), ("bias", np.inf), ("bias", -np.inf)], ids=str
)
@pytest.mark.parametrize(
    ("maker", "tail"), [c for c in CHAINS if c[1] in ("relu", "leaky", "scale, bn, scale, relu, drop")]
)
def test_what_is_no_number_comes_through(maker: str, tail: str, where: str, number: float) -> None:
    if where == "bias" and maker not in ("conv", "ip"):
        return
    text = chain(maker, tail)
    net, numpy = make(text), make(text, engine="numpy")
    for n in (net, numpy):
        if where == "x":
            n.blobs["x"].data[1, 3, 2, 4] = number
        else:
            n.params["first"][1].data[3] = number
        n.forward()
    if np.isnan(number) and maker != "pool":  # maxima leave it out, as in Caffe
        assert np.isnan(numpy.blobs["y"].data).any()
    np.testing.assert_allclose(net.blobs["y"].data, numpy.blobs["y"].data, rtol=1e-5, atol=1e-5)


def test_zeros_have_no_sign() -> None:
    net = make(chain("conv", "relu"))
    net.forward()
    y = net.blobs["y"].data
    assert (y == 0).any()
    assert not np.signbit(y).any()


def test_shared_parameters() -> None:
    names = "".join(f'param {{ name: "{n}" }}' for n in "wb"), "".join(f'param {{ name: "s{n}" }}' for n in "cd")
    before, kind, bottom, params = MAKERS["conv"]
    text = DATA + before
    for y in "yz":
        text += layer(f"conv {y}", kind, bottom, y, params + names[0])
        text += layer(f"scale {y}", "Scale", y, y, SCALE + names[1]) + layer(f"relu {y}", "ReLU", y, y)
    net, numpy = make(text), make(text, engine="numpy")
    assert [row.engine for row in net.summary().rows].count("onednn, in conv z") == 2
    for n in (net, numpy):
        n.forward()
        n.params["conv y"][0].data[...] *= -1
        n.params["scale y"][0].data[...] *= 2
        n.forward()
    np.testing.assert_array_equal(net.blobs["y"].data, net.blobs["z"].data)
    agree(net, numpy)


def test_layers_that_stay_outside() -> None:
    """Others' engines, other axes, other types."""
    before, kind, bottom, params = MAKERS["conv"]
    for text in (
        layer("first", kind, bottom, "y", params.replace("num_output", "engine: CAFFE num_output"))
        + layer("r", "ReLU", "y", "y"),
        layer("first", kind, bottom, "y", params) + layer("s", "Scale", "y", "y", "scale_param { axis: 2 }"),
        layer("first", kind, bottom, "y", params) + layer("s", "Scale", "y", "y", "scale_param { num_axes: 2 }"),
        layer("first", kind, bottom, "y", params) + layer("s", "BNLL", "y", "y"),
        layer("first", "InnerProduct", "x", "y", "inner_product_param { num_output: 3 axis: 2 }")
        + layer("b", "BatchNorm", "y", "y"),
    ):
        net = make(DATA + before + text)
        assert in_the_first(net) == []
        net.forward()
    caffe.set_engine("onednn")
    double = net_of(chain("conv", "relu"), TEST, dtype=np.float64)
    assert in_the_first(double) == []


@pytest.mark.parametrize("maker", ["conv", "bare", "ip", "pool", "sum", "norm"])
def test_what_is_let_not_through_is_0_without_a_sign(maker: str) -> None:
    net = make(chain(maker, "relu"))
    net.forward()
    y = net.blobs["y"].data
    assert (y == 0).any()
    assert not np.signbit(y).any()


def test_shapes_without_a_fast_primitive() -> None:
    """They run one after another, also where the net was built for others."""
    text = chain("conv", "bn, scale, relu")
    net, numpy = make(text), make(text, engine="numpy")
    for n in (net, numpy):
        n.layers[1]._primitives = None  # type: ignore[attr-defined]
        n.forward()
    assert not net.layers[1]._prepared  # type: ignore[attr-defined]
    agree(net, numpy)


@pytest.mark.parametrize("first", ["x", "mean"])
@pytest.mark.parametrize("kind", ["BatchNorm", "Scale"])
def test_images_of_one_place(first: str, kind: str) -> None:
    """Which lie in plain order and with the channels innermost alike."""
    before = layer("mean", "Pooling", "a", "mean", "pooling_param { pool: AVE global_pooling: true }")
    text = inputs(x=(4, 16, 1, 1), a=(4, 16, 5, 5)) + before * (first == "mean")
    text += layer("first", kind, first, "y", SCALE if kind == "Scale" else "")
    text += layer("scale", "Scale", "y", "y", SCALE) + layer("relu", "ReLU", "y", "y")
    net, numpy = make(text), make(text, engine="numpy")
    for n in (net, numpy):
        n.forward()
    agree(net, numpy)
    assert np.ptp(net.blobs["y"].data) > 0.5
