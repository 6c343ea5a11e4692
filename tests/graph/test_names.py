"""A name is one memory, as in Caffe, also where layers that are in place by name have tops of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite._table import number
from pycaffe_lite._typing import Array
from tests.arrays import is_same
from tests.graph.nets import conv, inputs, ip, layer
from tests.layers.nets import net_of

SCALE = 'scale_param { bias_term: true filler { type: "uniform" min: 0.5 max: 2 } bias_filler { value: 0.3 } }'
IN_PLACE = (
    layer("norm", "BatchNorm", "c", "c")
    + layer("scale", "Scale", "c", "c", SCALE)
    + layer("prelu", "PReLU", "c", "c")
    + layer("clip", "Clip", "c", "c", "clip_param { min: -0.5 max: 0.7 }")
)
LAYERS = ["c", "norm", "scale", "prelu", "clip"]
START = inputs(x=(3, 4, 6, 5), t=(3, 2)) + conv("c", "x", outputs=5)
END = ip("ip", "c", "y", 2) + layer("loss", "EuclideanLoss", "y t", "loss")
BY_HAND = START + "".join(
    text.replace('bottom: "c" top: "c"', f'bottom: "{before}" top: "{after}"')
    for text, before, after in zip(IN_PLACE.splitlines(), LAYERS, LAYERS[1:], strict=False)
)

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture(params=[caffe.TRAIN, caffe.TEST])
def phase(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def made(phase: int, text: str = START + IN_PLACE + END) -> caffe.Net:
    net = net_of("force_backward: true\n" + text, phase, seed=3)
    rng = np.random.default_rng(1)
    net.blobs["x"].data[...] = rng.normal(size=net.blobs["x"].shape)
    return net


class ByHand:
    """The same layers out of place; what goes from one to the next is carried by hand: the memory of Caffe's blob."""

    def __init__(self, phase: int) -> None:
        self.net = made(
            phase, BY_HAND + layer("ip", "InnerProduct", "clip", "y", "inner_product_param { num_output: 1 }")
        )
        self.data = self.diff = np.zeros(self.net.blobs["c"].shape, np.float32)

    def forward(self, first: str, last: str) -> None:
        for i in range(LAYERS.index(first), LAYERS.index(last) + 1):
            if i:
                self.net.blobs[LAYERS[i - 1]].data[...] = self.data
            self.net.forward(start=LAYERS[i], end=LAYERS[i])
            self.data = self.net.blobs[LAYERS[i]].data.copy()

    def backward(self, first: str, last: str) -> None:
        for i in range(LAYERS.index(first), LAYERS.index(last) - 1, -1):
            self.net.blobs[LAYERS[i]].diff[...] = self.diff
            self.net.backward(start=LAYERS[i], end=LAYERS[i])
            if i:
                self.diff = self.net.blobs[LAYERS[i - 1]].diff.copy()


def close(one: Array, other: Array) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_it_is_so_in_these_nets(phase: int) -> None:
    net = made(phase)
    assert len({id(node.tops[0]) for node in net._nodes if node.top_names[0] == "c"}) == 4, "BatchNorm runs in place"


@pytest.mark.parametrize("seed", range(6))
def test_passes_that_begin_or_end_in_between(phase: int, seed: int) -> None:
    net, model, rng = made(phase), ByHand(phase), np.random.default_rng(seed)
    net.forward(end="clip")
    model.forward("c", "clip")
    for _ in range(12):
        first, last = sorted(rng.integers(0, 5, 2))
        if rng.random() < 0.5:
            net.blobs["c"].data[...] = model.data = rng.normal(size=model.data.shape).astype(np.float32)
        net.forward(start=LAYERS[first], end=LAYERS[last])
        model.forward(LAYERS[first], LAYERS[last])
        close(net.blobs["c"].data, model.data)
    net.forward(end="clip")
    model.forward("c", "clip")
    for _ in range(12):
        last, first = sorted(rng.integers(0, 5, 2))
        if rng.random() < 0.5:
            net.blobs["c"].diff[...] = model.diff = rng.normal(size=model.diff.shape).astype(np.float32)
        net.backward(start=LAYERS[first], end=LAYERS[last])
        model.backward(LAYERS[first], LAYERS[last])
        close(net.blobs["c"].diff, model.diff)


def passes(net: caffe.Net) -> None:
    net.clear_param_diffs()
    net.forward()
    net.backward()


def steps(net: caffe.Net) -> None:
    for _ in range(3):
        net.clear_param_diffs()
        net._passes.forward_backward()


@pytest.mark.parametrize("run", [passes, steps])
@pytest.mark.parametrize("look", ["before", "never", "at the prompt"])
def test_after_all_layers_it_shows_the_gradient_of_the_first(
    phase: int, run: Callable[[caffe.Net], None], look: str
) -> None:
    net = made(phase)
    kept = net.blobs["c"].diff if look == "before" else None
    for _ in range(3):
        run(net)
        if look == "at the prompt":
            mean = float(np.abs(net._nodes[1].tops[0].stored("diff")).mean())
            assert repr(net.blobs["c"]).endswith(f"diff |·| {number(mean)}")
    diff = net.blobs["c"].diff
    assert kept is None or is_same(diff, kept)
    assert diff.any()
    close(diff.sum(axis=(0, 2, 3)), net.params["c"][1].diff)
    close(diff, net._nodes[1].tops[0].diff)


def test_a_look_stays_live() -> None:
    net = made(caffe.TRAIN)
    steps(net)
    diff = net.blobs["c"].diff
    for _ in range(3):
        diff[...] = 7
        net.blobs["x"].data[...] *= 1.1
        steps(net)
        close(diff.sum(axis=(0, 2, 3)), net.params["c"][1].diff)


def test_callbacks_see_what_their_layer_made(phase: int) -> None:
    net, model, seen = made(phase), ByHand(phase), dict[str, Array]()
    gradients = dict[str, Array]()
    names = [node.name for node in net._nodes]
    net.after_forward(lambda i: seen.update({names[i]: net.blobs["c"].data.copy()}))
    net.before_backward(lambda i: gradients.update({names[i]: net.blobs["c"].diff.copy()}))
    net.forward()
    for name in LAYERS:
        model.forward(name, name)
        close(seen[name], model.data)
    net.backward()
    model.diff = gradients["clip"]
    for name in reversed(LAYERS[1:]):
        close(gradients[name], model.diff)
        model.backward(name, name)
    close(gradients["c"], model.diff)


def test_what_a_callback_writes_counts() -> None:
    net = made(caffe.TEST)
    names = [node.name for node in net._nodes]
    net.before_forward(lambda i: net.blobs["c"].data.fill(0.25) if names[i] == "scale" else None)
    net.forward()
    scale, shift = (blob.data.reshape(-1, 1, 1) for blob in net.params["scale"])
    close(net.blobs["c"].data, np.broadcast_to(np.clip(0.25 * scale + shift, -0.5, 0.7), net.blobs["c"].shape))


def test_the_batch_may_grow() -> None:
    net = made(caffe.TRAIN)
    steps(net)
    net.blobs["x"].reshape(7, 4, 6, 5)
    net.blobs["t"].reshape(7, 2)
    net.blobs["x"].data[...] = np.random.default_rng(2).normal(size=(7, 4, 6, 5))
    steps(net)
    close(net.blobs["c"].diff.sum(axis=(0, 2, 3)), net.params["c"][1].diff)


@pytest.mark.parametrize("start", ["norm", "scale", "prelu"])
def test_a_blob_may_be_reshaped_and_filled_before_a_pass_from_there(start: str) -> None:
    net, model = made(caffe.TEST), ByHand(caffe.TEST)
    net.forward()
    net.blobs["t"].reshape(2, 2)
    net.blobs["c"].reshape(2, 5, 6, 5)
    net.blobs["c"].data[...] = model.data = np.random.default_rng(3).normal(size=(2, 5, 6, 5)).astype(np.float32)
    for name in LAYERS[:-1]:
        model.net.blobs[name].reshape(2, 5, 6, 5)
    net.forward(start=start, end="clip")
    model.forward(start, "clip")
    close(net.blobs["c"].data, model.data)


def test_callbacks_see_a_batch_of_another_size() -> None:
    net, shapes = made(caffe.TRAIN), set[tuple[int, ...]]()
    net.after_forward(lambda i: shapes.add(net.blobs["c"].data.shape) if i else None)
    for num in (2, 7):
        net.blobs["x"].reshape(num, 4, 6, 5)
        net.blobs["t"].reshape(num, 2)
        net.forward()
        assert shapes == {(num, 5, 6, 5)}
        shapes.clear()


def test_without_backward_passes_scale_and_prelu_run_in_place() -> None:
    text = START + "\n".join(IN_PLACE.splitlines()[:3]) + layer("end", "Flatten", "c", "e")
    net = net_of(text, caffe.TEST)
    assert len({id(node.tops[0]) for node in net._nodes if node.top_names[0] == "c"}) == 1
    assert net._passes._names is None


def test_a_loss_weight_stays_where_it_is() -> None:
    net = net_of(START + layer("square", "Power", "c", "c", "power_param { power: 2 } loss_weight: 3"), caffe.TRAIN)
    for _ in range(2):
        net.clear_param_diffs()
        net.forward()
        net.backward()
        assert (net.blobs["c"].diff == 3).all()
    assert net.params["c"][1].diff.any()


def test_where_memory_is_reused() -> None:
    """Deep dream's look, a callback's, and an ablation."""
    text = (
        START
        + layer("clip", "Clip", "c", "c", "clip_param { min: -0.1 max: 0.1 }")
        + conv("d", "c")
        + ip("e", "d", "y", 2)
    )
    seen: list[list[Array]] = []
    for reuse in (False, True):
        net = net_of(text, caffe.TEST, seed=3, reuse_memory=reuse)
        net.blobs["x"].data[...] = np.random.default_rng(1).normal(size=net.blobs["x"].shape)
        net.forward()
        net.blobs["x"].data[...] *= -2
        net.forward(end="c")
        looks = [net.blobs["c"].data.copy()]
        net.blobs["c"].data[...] = 0
        looks.append(net.forward(start="clip")["y"].copy())
        net.after_forward(lambda i, net=net, looks=looks: looks.append(net.blobs["c"].data.copy()) if i == 1 else None)
        looks.append(net.forward()["y"].copy())
        seen.append(looks)
    for plain, reusing in zip(*seen, strict=True):
        close(reusing, plain)
    assert np.abs(seen[0][0]).max() > 0.1
    assert not np.ptp(seen[0][1], axis=0).any()
