"""Convolutions in tiles against the same by windows, in float64 or by the layers that do without tiles."""

from __future__ import annotations

from pathlib import Path
from types import NoneType

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import engines
from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn import _tile_plans, _winograd
from pycaffe_lite.engines.onednn._convolution import ConvolutionPrimitives
from pycaffe_lite.engines.onednn._in_tiles import Backward, BackwardData, BackwardWeights, Forward
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._winograd import Cut
from pycaffe_lite.layers._im2col import Geometry
from tests.engines.onednn.nets import NORM, RELU, THREE, assert_close, build, run, twins
from tests.graph.test_steps import IMAGES, pair, train


def is_in_tiles(net: caffe.Net) -> bool:
    """All passes but those that oneDNN leaves to numpy, where it lacks kernels for this processor."""
    made = net.layer_dict["target"]._primitives
    passes = made.forward(), made.backward_data(), made.backward_weights()
    kinds = zip(passes, (Forward, BackwardData, BackwardWeights), strict=True)
    return isinstance(passes[0], Forward) and all(isinstance(run, kind | NoneType) for run, kind in kinds)


@pytest.mark.usefixtures("in_tiles")
@pytest.mark.parametrize("behind", ["", RELU, NORM, NORM + RELU])
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
@pytest.mark.parametrize("chunk", [0, 40_000, 1 << 22])
@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ((2, 16, 8, 10), THREE),
        ((3, 16, 5, 7), THREE + "bias_term: false"),
        ((1, 18, 13, 4), THREE + "group: 2"),
        ((7, 32, 3, 4), THREE + "group: 2 bias_term: false"),
        ((2, 16, 9, 6), "kernel_size: 3"),
        ((2, 16, 3, 5), "kernel_size: 3 pad: 2"),
        ((3, 20, 12, 12), "kernel_size: 5"),
        ((2, 16, 7, 6), "kernel_size: 5 pad: 2 group: 2"),
        ((1, 16, 6, 9), "kernel_h: 5 pad_h: 4 stride_h: 1 kernel_w: 3 pad_w: 0 stride_w: 2"),
        ((2, 16, 6, 9), "kernel_h: 3 pad_h: 1 stride_h: 1 kernel_w: 1 pad_w: 0 stride_w: 1"),
        ((2, 16, 6, 9), "kernel_h: 3 kernel_w: 3 pad_h: 1 pad_w: 2 dilation: 1 dilation: 2"),
    ],
)
def test_as_in_float64(
    tmp_path: Path,
    shape: tuple[int, ...],
    params: str,
    chunk: int,
    phase: int,
    behind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All places, in all passes, with images and rows of tiles in parts."""
    monkeypatch.setattr(_winograd, "CHUNK", chunk)
    net, exact = twins(tmp_path, shape, params, behind, phase=phase)
    assert is_in_tiles(net)
    x = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    for _ in range(2):
        assert_close(run(net, x), run(exact, x))


@pytest.mark.usefixtures("in_tiles")
@pytest.mark.parametrize("chunk", [0, 40_000, 1 << 22])
@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ((3, 16, 8, 10), THREE),
        ((3, 20, 12, 12), "kernel_size: 5"),
        ((2, 16, 9, 6), "kernel_size: 3 bias_term: false"),
        ((7, 32, 5, 4), THREE + "group: 2"),
    ],
)
def test_all_gradients_at_once_are_those_of_two_passes(
    tmp_path: Path, shape: tuple[int, ...], params: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, and but for one rounding where gradients are added to others."""
    monkeypatch.setattr(_winograd, "CHUNK", chunk)
    net, x = build(tmp_path, shape, params), np.random.default_rng(6).normal(size=shape).astype(np.float32)
    layer = net.layer_dict["target"]
    at_once = [{name: array.copy() for name, array in run(net, x).items()} for _ in range(3)]
    assert isinstance(layer._primitives.backward(), Backward)
    monkeypatch.setattr(ConvolutionPrimitives, "backward", lambda _: None)
    one_by_one = run(build(tmp_path, shape, params), x)
    assert np.abs(one_by_one["dx"]).max() > 0.1
    for i, found in enumerate(at_once):
        for name, numbers in found.items():
            times = i + 1 if name.startswith("dw") else 1  # nobody clears them
            np.testing.assert_allclose(numbers, times * one_by_one[name], rtol=1e-6 * i, atol=0, err_msg=name)


@pytest.mark.usefixtures("in_tiles")
def test_all_gradients_at_once_in_steps_that_are_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in two passes by the layers, to the bit."""
    solvers = pair(IMAGES)
    at_once, by_two = (solver.net.layer_dict["b"]._primitives for solver in solvers)
    assert isinstance(at_once.backward(), Backward)
    monkeypatch.setattr(by_two, "backward", lambda: None)
    train(solvers, 4)
    assert solvers[0].net._passes.steps._last is not None


@pytest.mark.parametrize(
    ("value", "behind"), [(3e38, ""), *((value, b) for value in (np.inf, -np.inf, np.nan) for b in ("", RELU, NORM))]
)
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_what_is_not_finite_stays_where_it_belongs(
    tmp_path: Path, phase: int, value: float, behind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all is as by windows, to the bit."""
    shape = (2, 16, 9, 9)
    x = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    x[1, 3, 4, 4] = value
    net = build(tmp_path, shape, behind=behind, phase=phase)
    found = run(net, x)["y"].copy()
    monkeypatch.setattr(Cut, "pays", lambda *_, **__: False)
    want = run(build(tmp_path, shape, behind=behind, phase=phase), x)["y"]
    np.testing.assert_array_equal(found, want)
    run(net, np.ones(shape, np.float32))
    assert np.isfinite(net.blobs["target"].data).all()


@pytest.mark.usefixtures("in_tiles")
def test_infinite_weights(tmp_path: Path) -> None:
    shape = (1, 16, 6, 6)
    found = []
    for engine in ("onednn", "numpy"):
        engines.set_engine(engine)
        net = build(tmp_path, shape, phase=caffe.TEST)
        net.params["target"][0].data[2, 3, 1, 1] = np.inf
        found.append(run(net, np.ones(shape, np.float32))["y"])
    np.testing.assert_array_equal(np.isposinf(found[0]), np.isposinf(found[1]))
    assert np.isposinf(found[0][0, 2]).all()
    assert np.isfinite(found[0][0, 3:]).all()


@pytest.mark.usefixtures("in_tiles")
@pytest.mark.parametrize("reuse_memory", [False, True])
def test_new_weights_count(tmp_path: Path, reuse_memory: bool) -> None:
    """In passes done again too."""
    net = build(tmp_path, (2, 16, 6, 6), behind=NORM + RELU, phase=caffe.TEST, reuse_memory=reuse_memory)
    net.blobs["x"].data[...] = 1
    for _ in range(4):
        before = net.forward()["target"].copy()
    net.params["target"][0].data[...] *= 2
    net.params["norm"][0].data[...] = 0
    net.params["target"][1].data[...] = 0
    net.params["scale"][1].data[...] = 0
    after = net.forward()["target"].copy()
    net.params["target"][0].data[...] *= 0.5
    half = net.forward()["target"]
    assert not np.allclose(before, after)
    np.testing.assert_allclose(half, after / 2, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("in_tiles")
def test_again_looked_at_and_with_other_threads(tmp_path: Path) -> None:
    """Always the same numbers: in plain order too, as blobs lie that somebody has looked at."""
    shape = (3, 16, 7, 8)
    x = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    net = build(tmp_path, shape, behind=RELU, phase=caffe.TEST)
    net.blobs["x"].data[...] = x
    net._forward(0, 2)
    laid = net.blobs["target"].stored("data").copy()
    threads = library().threads
    try:
        for count in (1, 2, 1):
            caffe.set_num_threads(count)
            for _ in range(3):
                np.testing.assert_allclose(net.forward()["target"], laid, rtol=1e-6, atol=1e-6)
    finally:
        caffe.set_num_threads(threads)


@pytest.mark.usefixtures("in_tiles")
def test_layers_of_a_net_work_in_the_same_memory(tmp_path: Path) -> None:
    behind = """layer { name: "next" type: "Convolution" bottom: "target" top: "next"
                convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }"""
    net = build(tmp_path, (2, 16, 6, 6), behind=behind, phase=caffe.TEST, reuse_memory=True)
    for _ in range(3):
        net.forward()
    first, second = (net.layer_dict[name]._primitives.forward()._memory for name in ("target", "next"))
    assert first is second is library().this_thread.workspace


@pytest.mark.parametrize("how", ["in_tiles", "by_products", "by_columns"])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_gradients_that_are_not_finite(
    tmp_path: Path, value: float, how: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are as by windows too."""
    request.getfixturevalue(how)
    x = np.random.default_rng(6).normal(size=(2, 16, 9, 9)).astype(np.float32)

    def gradients(net: caffe.Net) -> list[Array]:
        net.blobs["x"].data[...] = x
        net.forward()
        dy = np.ones(net.blobs["target"].shape, np.float32)
        dy[1, 3, 4, 4] = value
        net.backward(target=dy)
        return [blob.diff.copy() for blob in (net.blobs["x"], *net.params["target"])]

    net = build(tmp_path, x.shape)
    found = gradients(net)
    assert is_in_tiles(net)
    monkeypatch.setattr(Cut, "pays", lambda *_, **__: False)
    for got, want in zip(found, gradients(build(tmp_path, x.shape)), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.usefixtures("in_tiles")
@pytest.mark.parametrize("neuron", ["Sigmoid", "TanH", "ELU"])
def test_neurons_that_make_the_infinite_finite_run_by_themselves(tmp_path: Path, neuron: str) -> None:
    behind = f'layer {{ name: "n" type: "{neuron}" bottom: "target" top: "target" }}'
    x = np.random.default_rng(6).normal(size=(2, 16, 9, 9)).astype(np.float32)
    x[1, :, 4, 4] = np.inf
    found = []
    for engine in ("onednn", "numpy"):
        engines.set_engine(engine)
        net = build(tmp_path, x.shape, behind=behind, phase=caffe.TEST)
        net.blobs["x"].data[...] = x
        found.append(net.forward()["target"].copy())
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("in_tiles")
def test_few_channels_lie_otherwise_and_go_by_windows(tmp_path: Path) -> None:
    x = np.random.default_rng(6).normal(size=(1, 4, 3, 3)).astype(np.float32)
    net, exact = twins(tmp_path, x.shape, "kernel_size: 3")
    assert not is_in_tiles(net)
    np.testing.assert_allclose(run(net, x)["y"], run(exact, x)["y"], rtol=0, atol=1e-5)


@pytest.mark.usefixtures("in_tiles")
def test_where_convolutions_along_the_width_are_not_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tile_plans, "fills_fast", lambda *_: False)
    assert not is_in_tiles(build(tmp_path, (2, 16, 6, 6)))


@pytest.mark.usefixtures("onednn")
def test_when_it_pays() -> None:
    """Many channels, and tiles enough for the weights: more of them where W learns, and for several threads."""

    def is_so(num: int, channels: int, size: int, outputs: int, height: int = 3, learning: bool = False) -> bool:
        x, y = (num, channels, size, size), (num, outputs, size, size)
        windows = Geometry((height, height), (1, 1), (height // 2, height // 2), (1, 1))
        return Cut(x, (outputs, channels, height, height), y, windows).pays(learning=learning)

    before = library().threads
    try:
        caffe.set_num_threads(1)
        assert is_so(8, 256, 28, 256, learning=True)
        assert is_so(1, 256, 14, 256)
        assert not is_so(1, 256, 14, 256, learning=True)
        assert not is_so(8, 3, 224, 64)
        assert not is_so(128, 16, 32, 16)
        assert is_so(128, 20, 32, 20, height=5)
        assert not is_so(1, 32, 8, 32)
        assert not is_so(99, 256, 1, 256)
        caffe.set_num_threads(2)
        assert is_so(8, 256, 28, 256, learning=True)
        assert not is_so(1, 256, 14, 256)
    finally:
        caffe.set_num_threads(before)


@pytest.mark.usefixtures("in_tiles")
def test_passes_that_were_planned_for_other_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All gradients at once go by the same parts, though these depend on how many threads there are."""
    monkeypatch.setattr(_winograd, "CHUNK", 30_000)
    shape, threads = (7, 16, 17, 9), library().threads
    x = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    net, exact = twins(tmp_path, shape)
    made = net.layer_dict["target"]._primitives
    try:
        caffe.set_num_threads(1)
        few = len(Cut(shape, (24, 16, 3, 3), (7, 24, 17, 9), made._cut.geometry).parts)
        assert isinstance(made.backward_weights(), BackwardWeights)
        caffe.set_num_threads(3)
        many = len(Cut(shape, (24, 16, 3, 3), (7, 24, 17, 9), made._cut.geometry).parts)
        assert few != many
        assert_close(run(net, x), run(exact, x))
        assert isinstance(made.backward(), Backward)
    finally:
        caffe.set_num_threads(threads)
