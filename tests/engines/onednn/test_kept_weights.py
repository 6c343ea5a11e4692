"""Layers keep a copy of their weights in the library's order, and nobody who writes weights can tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn import _parameters, convolution, inner_product

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 16 dim: 6 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" param { name: "w" }
        convolution_param { num_output: 32 kernel_size: 3 bias_term: false weight_filler { type: "xavier" } } }
"""

pytestmark = pytest.mark.usefixtures("onednn")


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that weights were put in another order."""
    made: list[int] = []
    real = _parameters.put

    def counted(*layouts_and_arrays: Any) -> None:
        made.append(1)
        real(*layouts_and_arrays)

    monkeypatch.setattr(_parameters, "put", counted)
    return made


@pytest.fixture
def net(tmp_path: Path) -> caffe.Net:
    return make(tmp_path)


def make(folder: Path, phase: int = caffe.TEST) -> caffe.Net:
    (folder / "net.prototxt").write_text(NET)
    net = caffe.Net(folder / "net.prototxt", phase, seed=1)
    net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=net.blobs["x"].shape)
    return net


def check(net: caffe.Net) -> None:
    """A forward pass gives what the weights say that the net has now."""
    y = net.forward()["conv"]
    x, w = net.blobs["x"].data, net.params["conv"][0].data
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    np.testing.assert_allclose(y, np.einsum("nchwij,ocij->nohw", windows, w), rtol=1e-4, atol=1e-4)


def test_the_copy_is_made_once(net: caffe.Net, copies: list[int]) -> None:
    for _ in range(3):
        net.forward()
    assert len(copies) == 1
    net.params["conv"][0].data[3] = 1
    for _ in range(3):
        net.forward()
    assert len(copies) == 2
    check(net)


@pytest.mark.parametrize(
    "keep",
    [
        lambda a: a,
        lambda a: a[1:],
        lambda a: a.reshape(-1),
        lambda a: np.asarray(memoryview(a)),
        np.ctypeslib.as_ctypes,
    ],
    ids=["array", "slice", "shape", "memoryview", "ctypes"],
)
def test_whoever_keeps_an_array_may_write_at_any_time(net: caffe.Net, copies: list[int], keep: Any) -> None:
    net.forward()
    kept = keep(net.params["conv"][0].data)
    for value in (1.5, -2.0, 0.25):
        memory = np.asarray(kept)
        memory[...] = value * np.arange(memory.size).reshape(memory.shape) / memory.size
        del memory
        check(net)
    del kept
    check(net)
    made = len(copies)
    net.forward()
    made_now = len(copies)
    net.forward()
    assert made_now <= made + 1
    assert len(copies) == made_now


def test_all_ways_to_write(net: caffe.Net, tmp_path: Path) -> None:
    other, rng = make(tmp_path), np.random.default_rng(3)

    def writes() -> Iterator[Callable[[], Any]]:
        blob = net.params["conv"][0]
        yield lambda: np.copyto(blob.data, rng.normal(size=blob.shape))
        yield lambda: net.layer_dict["conv"].blobs[0].data.fill(0.5)
        yield lambda: net.learnable.data.array().fill(0.25)
        yield lambda: net.learnable.data.clear()
        other.params["conv"][0].data[...] = rng.normal(size=blob.shape)
        other.save(tmp_path / "other.caffemodel")
        yield lambda: net.copy_from(tmp_path / "other.caffemodel")
        other.params["conv"][0].data[...] *= 3
        other.save_hdf5(tmp_path / "other.h5")
        yield lambda: net.load_hdf5(tmp_path / "other.h5")
        other.params["conv"][0].data[...] *= -1
        yield lambda: net.share_with(other)
        yield lambda: other.params["conv"][0].data.__imul__(2)
        flat = other.learnable.data.array()
        yield lambda: flat.fill(0.125)
        yield lambda: flat.__imul__(4)

    for write in writes():
        check(net)
        before = net.forward()["conv"].copy()
        write()
        check(net)
        assert np.abs(net.blobs["conv"].data - before).max() > 1e-3


def test_another_blob_in_its_place(net: caffe.Net) -> None:
    blob = Blob(net.params["conv"][0].shape)
    blob.data[...] = np.random.default_rng(6).normal(size=blob.shape)
    for _ in range(2):
        net.forward()
    net.params["conv"][0] = blob
    check(net)
    blob.data[...] *= 2
    check(net)


def test_nets_that_share_weights_after_each_step_of_a_solver(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(
        NET
        + """layer { name: "target" type: "DummyData" top: "target" dummy_data_param {
             shape { dim: 2 dim: 32 dim: 4 dim: 3 } data_filler { value: 1 } } }
             layer { name: "loss" type: "EuclideanLoss" bottom: "conv" bottom: "target" top: "loss" }"""
    )
    (tmp_path / "solver.prototxt").write_text(
        f"""net: "{tmp_path}/net.prototxt" base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 test_iter: 1
            test_interval: 1000 test_initialization: false snapshot_after_train: false random_seed: 4"""
    )
    solver = caffe.SGDSolver(str(tmp_path / "solver.prototxt"))
    nets = (solver.net, *solver.test_nets)
    for net in nets:
        net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=net.blobs["x"].shape)
    losses = []
    for _ in range(4):
        solver.step(1)
        for net in nets:
            y = net.forward(end="conv")["conv"]
            x, w = net.blobs["x"].data, solver.net.params["conv"][0].data
            windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
            np.testing.assert_allclose(y, np.einsum("nchwij,ocij->nohw", windows, w), rtol=1e-4, atol=1e-4)
        losses.append(float(solver.net.forward()["loss"]))
    assert losses[-1] < losses[0]


def test_passes_of_a_net_in_phase_train_share_one_copy(tmp_path: Path, copies: list[int]) -> None:
    net = make(tmp_path, caffe.TRAIN)
    net.blobs["conv"].diff[...] = 1
    for _ in range(2):
        net.forward()
        net.backward()
    check(net)


def test_a_thread_that_writes_between_passes(net: caffe.Net) -> None:
    for value in (0.5, 2.0):
        net.forward()
        thread = threading.Thread(target=lambda v=value: net.params["conv"][0].data.fill(v))
        thread.start()
        thread.join()
        check(net)


@pytest.mark.parametrize("transpose", ["false", "true"])
@pytest.mark.parametrize(("phase", "items", "made"), [(caffe.TEST, 9, 2), (caffe.TEST, 3, 0), (caffe.TRAIN, 9, 0)])
def test_inner_products_of_several_items_in_phase_test(
    phase: int,
    items: int,
    made: int,
    transpose: str,
    tmp_path: Path,
    copies: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inner_product, "MIN_PRODUCTS", 0)
    (tmp_path / "net.prototxt").write_text(
        f"""layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: {items} dim: 70 }} }} }}
            layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {{ num_output: 50
                     transpose: {transpose} weight_filler {{ type: "xavier" }} bias_filler {{ value: 0.5 }} }} }}
            layer {{ name: "relu" type: "ReLU" bottom: "y" top: "y" }}"""
    )
    net = caffe.Net(tmp_path / "net.prototxt", phase, seed=1)
    net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=(items, 70))
    for factor in (1, -1.5):
        net.params["ip"][0].data[...] *= factor
        for _ in range(3):
            y = net.forward()["y"]
        w = net.params["ip"][0].data
        expected = net.blobs["x"].data @ (w if transpose == "true" else w.T) + 0.5
        del w
        np.testing.assert_allclose(y, np.maximum(expected, 0), rtol=1e-4, atol=1e-5)
    assert len(copies) == made


def test_weights_with_a_normalization_in_them(
    tmp_path: Path, copies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "put", _parameters.put)
    net_file = tmp_path / "net.prototxt"
    net_file.write_text(
        NET
        + """layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "conv" }
             layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }"""
    )
    net = caffe.Net(net_file, caffe.TEST, seed=1)
    rng = np.random.default_rng(0)
    net.blobs["x"].data[...] = rng.normal(size=net.blobs["x"].shape)

    def check(made: int) -> None:
        for _ in range(3):
            y = net.forward()["conv"].copy()
        assert len(copies) == made
        apart = caffe.Net(net_file, caffe.TEST, seed=1)
        apart.after_forward(lambda index: None)
        for name, blobs in net.params.items():
            for mine, theirs in zip(blobs, apart.params[name], strict=True):
                theirs.data[...] = mine.data
        apart.blobs["x"].data[...] = net.blobs["x"].data
        expected = apart.forward()["conv"]
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
        copies.clear()

    net.params["norm"][2].data[...] = 2
    for name, number in (("norm", 0), ("norm", 1), ("scale", 0), ("scale", 1), ("conv", 0)):
        blob = net.params[name][number]
        blob.data[...] = rng.uniform(1, 2, blob.shape)
        check(made=1)
    other = Blob(net.params["norm"][0].shape)
    other.data[...] = rng.uniform(-3, -2, other.shape)
    net.params["norm"][0] = other
    check(made=3)  # who writes into a blob of the user's own is not known


def test_memory_that_a_net_shares_later(tmp_path: Path) -> None:
    net, other = make(tmp_path), make(tmp_path)
    other.params["conv"][0].data[...] = 0.5
    for _ in range(2):
        check(other)
        check(net)
    net.share_with(other)
    check(net)


class Interrupted(BaseException):
    """As by Ctrl-C."""


def test_an_interrupted_copy_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both passes' copies of W lie in one memory, in an order of their own."""
    (tmp_path / "net.prototxt").write_text("force_backward: true\n" + NET)
    net = caffe.Net(tmp_path / "net.prototxt", caffe.TRAIN, seed=1)
    net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=net.blobs["x"].shape)
    net.forward()
    net.backward()
    real, calls = _parameters.put, iter(["dW", "W"])

    def interrupted(*layouts_and_arrays: Any) -> None:
        real(*layouts_and_arrays)
        if next(calls) == "W":
            raise Interrupted

    expected = net.forward()["conv"].copy()  # to ask for W would have it copied anew
    monkeypatch.setattr(_parameters, "put", interrupted)
    with pytest.raises(Interrupted):
        net.backward()
    monkeypatch.setattr(_parameters, "put", real)
    for _ in range(2):
        np.testing.assert_array_equal(net.forward()["conv"], expected)
    check(net)
