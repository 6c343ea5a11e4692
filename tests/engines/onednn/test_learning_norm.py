"""BatchNorm, Scale and ReLU in one pass while they learn: as numpy's, however the passes go and whoever watches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.layer import Layer
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("sums")

LEARNT = 'filler { type: "uniform" min: -2 max: 2 } bias_filler { type: "gaussian" }'
DATA = inputs(x=(3, 4, 7, 5), t=(3, 1))
TAILS = {
    "": 1,
    "relu": 2,
    "leaky": 1,
}
"""What stands behind Scale, and how many layers run in BatchNorm."""
PASSES = list(itertools.product([False, True], repeat=2))


def text(channels: int = 16, tail: str = "relu", norm: str = "eps: 0.01", scale: str = "bias_term: true") -> str:
    conv = f'num_output: {channels} kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }}'
    net = layer("conv", "Convolution", "x", "y", f"convolution_param {{ {conv} }}")
    net += layer("bn", "BatchNorm", "y", "y", f"batch_norm_param {{ moving_average_fraction: 0.75 {norm} }}")
    net += layer("scale", "Scale", "y", "y", f"scale_param {{ {scale} {LEARNT} }}")
    if tail:
        net += layer("relu", "ReLU", "y", "y", "relu_param { negative_slope: 0.25 }" if tail == "leaky" else "")
    last = 'num_output: 1 weight_filler { type: "xavier" }'
    last = layer("last", "InnerProduct", "y", "z", f"inner_product_param {{ {last} }}")
    return DATA + net + last + layer("loss", "EuclideanLoss", "z t", "loss")


def pair(prototxt: str, phase: int = TRAIN) -> tuple[Net, Net]:
    """The net of this engine, and numpy's."""
    nets = []
    for engine in ("onednn", "numpy"):
        caffe.set_engine(engine)
        nets.append(net_of(prototxt, phase, seed=7))
        norm = nets[-1].params["bn"]
        for blob, number in zip(norm, (0.5, 1.75, 2.5), strict=True):
            blob.data[...] = number + np.arange(blob.count) / 16
        fill(nets[-1], 2)
    caffe.set_engine("onednn")
    return nets[0], nets[1]


def fill(net: Net, seed: int) -> None:
    for name in net.inputs:
        net.blobs[name].data[...] = np.random.default_rng(seed).normal(1, 2, net.blobs[name].shape)


def agree(net: Net, numpy: Net) -> None:
    for name, blob in numpy.blobs.items():
        same(net.blobs[name].data, blob.data, f"{name}'s data")
        same(net.blobs[name].diff, blob.diff, f"{name}'s diff")
    for name, blobs in numpy.params.items():
        for j, (got, want) in enumerate(zip(net.params[name], blobs, strict=True)):
            same(got.data, want.data, f"{name}[{j}]'s data")
            same(got.diff, want.diff, f"{name}[{j}]'s diff")


def same(got: np.ndarray, want: np.ndarray, what: str) -> None:
    most = np.nanmax(np.abs(want), initial=1.0)
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5 * most, err_msg=what)


def within(net: Net) -> list[str]:
    """The layers that run in "bn"."""
    return [row.name for row in net.summary().rows if row.engine == "onednn, in bn"]


def watch(net: Net, forward: bool, backward: bool) -> None:
    net._passes.callbacks.after_forward[:] = [lambda index: None] * forward
    net._passes.callbacks.after_backward[:] = [lambda index: None] * backward


def step(net: Net) -> None:
    net.forward()
    net.backward()


@pytest.mark.parametrize("channels", [16, 20, 5])
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("fixed", ["true", "false"])
def test_whole_passes(channels: int, tail: str, fixed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients add up over passes, and statistics move, or not."""
    net, numpy = pair(text(channels, tail, f"eps: 0.01 use_global_stats: {fixed}"))
    assert within(net) == ["scale", "relu"][: TAILS[tail]]
    ran = []
    for cls in {type(net.layer_dict[name]) for name in ("bn", "scale")}:
        for what in ("forward_cpu", "backward_cpu"):
            monkeypatch.setattr(cls, what, lambda self, *arguments: ran.append(self.type))
    for seed in range(3):
        fill(net, seed)
        step(net)
    monkeypatch.undo()
    caffe.set_engine("onednn")
    assert ran == []
    for seed in range(3):
        fill(numpy, seed)
        step(numpy)
    agree(net, numpy)
    assert all(blob.diff.any() for name in ("conv", "scale") for blob in net.params[name][:1])
    assert not any(blob.diff.any() for blob in net.params["bn"])


@pytest.mark.parametrize(("first", "second"), list(itertools.product(PASSES, PASSES)))
@pytest.mark.parametrize("fixed", ["true", "false"])
def test_whoever_watches(first: tuple[bool, bool], second: tuple[bool, bool], fixed: str) -> None:
    net, numpy = pair(text(norm=f"use_global_stats: {fixed}"))
    for seed, (forward, backward) in enumerate((first, second)):
        watch(net, forward, backward)
        for n in (net, numpy):
            fill(n, seed)
            step(n)
    agree(net, numpy)


@pytest.mark.parametrize("tail", ["", "relu"])
def test_partial_passes(tail: str) -> None:
    net, numpy = pair(text(tail=tail))
    inner = ["conv", "bn", "scale", "relu"][: 3 + bool(tail)]
    for end, start in itertools.product([*inner, "loss"], [*inner, "last"]):
        for n in (net, numpy):
            step(n)
            n.forward(end=end)
            n.forward(start=start)
        agree(net, numpy)
    for middle, after in itertools.pairwise(inner):
        for n in (net, numpy):
            n.clear_param_diffs()
            n.forward()
            n.backward(end=after)
            n.backward(start=middle)
        agree(net, numpy)


def test_scale_twice_after_one_pass() -> None:
    """Backward passes of the layers alone find what they read, once and again."""
    net, numpy = pair(text())
    for n in (net, numpy):
        n.forward()
        n.backward()
        for name in ("scale", "bn"):
            at = list(n._layer_names).index(name)
            n._backward(at, at)
            n._backward(at, at)
        n.backward()
        n.forward(start="bn")
        n.backward()
    agree(net, numpy)


@pytest.mark.parametrize("what", ["data", "diff"])
def test_looks_and_writes_in_between(what: str) -> None:
    net, numpy = pair(text())
    for seed in range(3):
        for n in (net, numpy):
            fill(n, seed)
            n.forward()
            y = getattr(n.blobs["y"], what)
            y[1, 3] = -y[1, 3] + 0.25
            n.backward()
        agree(net, numpy)


@pytest.mark.parametrize("passes", [f"fb{''.join(p)}" for n in range(4) for p in itertools.product("fb", repeat=n)])
def test_a_gradient_is_masked_for_whoever_looks(passes: str) -> None:
    """As the last backward pass left it, whichever passes came after that."""
    net, numpy = pair(text(5))
    for n in (net, numpy):
        for seed, what in enumerate(passes):
            fill(n, seed)
            if what == "f":
                n.forward()
            else:  # without what lets the name show the gradient of x
                n._backward(len(n.layers) - 1, 0)
    assert net.blobs["y"]._diff.laid is None
    assert net.blobs["y"].has_diff
    same(net.blobs["y"].diff, numpy.blobs["y"].diff, "y's diff")
    assert 0.2 < (net.blobs["y"].diff == 0).mean() < 0.8
    agree(net, numpy)
    for n in (net, numpy):
        step(n)
    agree(net, numpy)


def test_a_layer_that_runs_alone_finds_the_gradient_masked() -> None:
    net, numpy = pair(text())
    for n in (net, numpy):
        step(n)
        n.clear_param_diffs()
        n.backward(start="scale")
    agree(net, numpy)


def test_no_pass_for_the_mask_while_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    net, _ = pair(text())
    step(net)
    made = net.blobs["y"].stored("data")
    ran = []
    monkeypatch.setattr(type(net.layer_dict["relu"]), "backward_cpu", lambda *arguments: ran.append(1))
    for _ in range(3):
        step(net)
        assert net.blobs["y"].stored("data") is made
    assert ran == []


def test_written_parameters_count() -> None:
    net, numpy = pair(text())
    for _ in range(2):
        for n in (net, numpy):
            step(n)
            for blob in n.params["scale"]:
                blob.data[...] *= -1.5
            n.params["bn"][0].data[...] += 1
            n.backward()
    agree(net, numpy)


def test_reshape_in_between() -> None:
    net, numpy = pair(text())
    for num, height in [(3, 7), (5, 7), (1, 7), (4, 7)]:
        for n in (net, numpy):
            n.blobs["x"].reshape(num, 4, height, 5)
            n.blobs["t"].reshape(num, 1)
            fill(n, num)
            step(n)
        agree(net, numpy)


@pytest.mark.parametrize("fixed", ["true", "false"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("where", ["x", "scale", "shift"])
def test_what_is_no_number_comes_through(where: str, number: float, fixed: str) -> None:
    net, numpy = pair(text(norm=f"use_global_stats: {fixed}"))
    for n in (net, numpy):
        if where == "x":
            n.blobs["x"].data[1, 3, 2, 4] = number
        else:
            n.params["scale"][where == "shift"].data[3] = number
        n.forward()
    y = numpy.blobs["y"].data
    assert np.isnan(y).any() or np.isinf(y).any() or number == -np.inf
    np.testing.assert_allclose(net.blobs["y"].data, y, rtol=1e-5, atol=1e-5)


def test_the_same_bits_each_time() -> None:
    nets = [pair(text())[0] for _ in range(2)]
    for n in nets:
        step(n)
        step(n)
    for a, b in zip(nets[0].learnable.blobs, nets[1].learnable.blobs, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.diff, b.diff)


def test_rates_of_zero() -> None:
    """What has no gradient gets none."""
    params = "param { lr_mult: 0 } param { lr_mult: 1 } scale_param"
    net, numpy = pair(text().replace("scale_param", params))
    assert within(net) == ["scale", "relu"]
    for n in (net, numpy):
        step(n)
    agree(net, numpy)
    assert not net.params["scale"][0].diff.any()
    assert net.params["scale"][1].diff.any()


@pytest.mark.parametrize("scale", ["bias_term: false", "bias_term: true axis: 2", "bias_term: true num_axes: 2"])
def test_other_scales_stay_apart(scale: str) -> None:
    net, numpy = pair(text(scale=scale))
    assert within(net) == []
    for n in (net, numpy):
        step(n)
    agree(net, numpy)


def test_where_others_see_what_is_in_between() -> None:
    after = layer("scale", "Scale", "y", "s", f"scale_param {{ bias_term: true {LEARNT} }}")
    conv = text().split('layer { name: "bn"')[0]
    norm = layer("bn", "BatchNorm", "y", "y")
    view = layer("view", "Reshape", "y", "v", "reshape_param { shape { dim: 0 dim: 16 dim: 7 dim: 5 } }")
    seen = layer("bn", "BatchNorm", "v", "v") + layer("scale", "Scale", "v", "v", "scale_param { bias_term: true }")
    for middle, end in ((norm + after, "s"), (view + seen, "v"), (norm, "y")):
        loss = layer("sum", "Reduction", end, "loss", "loss_weight: 1")
        net, numpy = pair(conv + middle + loss)
        assert within(net) == []
        for n in (net, numpy):
            step(n)
        agree(net, numpy)


def test_without_a_backward_pass_or_learning() -> None:
    net, numpy = pair(text(), TEST)
    assert within(net) == []
    assert Layer.absorbs_through(net.layer_dict["conv"], []) == 0
    for n in (net, numpy):
        n.forward()
    agree(net, numpy)


@pytest.mark.parametrize("watched", [False, True])
def test_statistics_written_between_the_passes(watched: bool) -> None:
    """Backward takes those that forward took, as Caffe does."""
    net, numpy = pair(text(norm="use_global_stats: true"))
    watch(net, watched, watched)
    for n in (net, numpy):
        n.forward()
        n.params["bn"][0].data[...] += 0.5
        n.params["bn"][1].data[...] *= 2
        n.backward()
    for name in ("conv", "scale"):
        for got, want in zip(net.params[name], numpy.params[name], strict=True):
            same(got.diff, want.diff, name)


@pytest.mark.parametrize(("channels", "size"), [(16, (2, 1)), (40, (3, 3)), (64, (1, 1))])
def test_a_gradient_that_is_looked_at_of_more_channels_than_places(channels: int, size: tuple[int, int]) -> None:
    """Which lacks ReLU's step until then."""
    prototxt = text(channels).replace(DATA, inputs(x=(3, 4, *size), t=(3, 1)))
    assert prototxt != text(channels)
    net, numpy = pair(prototxt)
    for n in (net, numpy):
        fill(n, 3)
        step(n)
    same(net.blobs["y"].diff, numpy.blobs["y"].diff, "y's diff")
    assert (net.blobs["y"].diff == 0).any()
