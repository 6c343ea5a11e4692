"""Blobs between layers may lie in another order: nobody who looks, writes or keeps an array can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.order import Order, order_of
from pycaffe_lite.testing.cases import restart_random
from tests.arrays import is_same
from tests.graph.nets import layer

NET = """
layer { name: "x" type: "Input" top: "x" top: "label"
        input_param { shape { dim: 18 dim: 3 dim: 13 dim: 11 } shape { dim: 18 } } }
layer { name: "conv1" type: "Convolution" bottom: "x" top: "conv1"
        convolution_param { num_output: 18 kernel_size: 3 weight_filler { type: "xavier" }
                            bias_filler { type: "gaussian" } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
        pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "relu1" type: "ReLU" bottom: "pool1" top: "pool1" relu_param { negative_slope: 0.25 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
        convolution_param { num_output: 24 group: 2 pad: 1 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "relu2" }
layer { name: "conv3" type: "Convolution" bottom: "relu2" top: "conv3"
        convolution_param { num_output: 24 bias_term: false pad: 1 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "norm" type: "BatchNorm" bottom: "conv3" top: "norm" }
layer { name: "scale" type: "Scale" bottom: "norm" top: "scale"
        scale_param { filler { type: "gaussian" } bias_term: true bias_filler { type: "gaussian" } } }
layer { name: "sum" type: "Eltwise" bottom: "relu2" bottom: "scale" top: "sum" eltwise_param { coeff: 1 coeff: -0.5 } }
layer { name: "both" type: "Concat" bottom: "sum" bottom: "relu2" top: "both" }
layer { name: "drop" type: "Dropout" bottom: "both" top: "drop" }
layer { name: "pool2" type: "Pooling" bottom: "drop" top: "pool2"
        pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1"
        inner_product_param { num_output: 7 weight_filler { type: "xavier" } bias_filler { type: "gaussian" } } }
layer { name: "relu3" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
        inner_product_param { num_output: 5 transpose: true weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
"""
BETWEEN = ("conv1", "pool1", "conv2", "relu2", "conv3", "norm", "scale", "sum", "both", "drop", "pool2", "ip1")


def make(tmp_path: Path, looked_at: tuple[str, ...] = ()) -> caffe.Net:
    """The net with numbers in it; with these blobs, data and diff, looked at before anything runs."""
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    net = caffe.Net(path, caffe.TRAIN, seed=3)
    fill(net)
    for name in looked_at:
        assert net.blobs[name].data.any() == net.blobs[name].diff.any()
    return net


def fill(net: caffe.Net, seed: int = 5) -> None:
    rng = np.random.default_rng(seed)
    net.blobs["x"].data[...] = rng.normal(size=net.blobs["x"].shape)
    net.blobs["label"].data[...] = rng.integers(0, 5, net.blobs["label"].shape)


def step(net: caffe.Net) -> None:
    restart_random(net)
    net.clear_param_diffs()
    net.forward()
    net.backward()


def compare(net: caffe.Net, other: caffe.Net) -> None:
    for blob, same in zip(net.learnable.blobs, other.learnable.blobs, strict=True):
        close(blob.diff, same.diff)
    for name in net.blobs:
        close(net.blobs[name].data, other.blobs[name].data, name)
        close(net.blobs[name].diff, other.blobs[name].diff, name)


def close(got: Array, want: Array, name: str = "") -> None:
    limit = 1e-5 * max(1, np.abs(want).max())
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=limit, err_msg=name)


def otherwise(net: caffe.Net, what: str) -> set[str]:
    """The blobs that lie in another order than the plain one."""
    blobs = {name: blob for name, blob in net.blobs.items() if "_split_" not in name}
    return {name for name, blob in blobs.items() if order_of(blob.stored(what)) is not Order.PLAIN}  # type: ignore[arg-type]


def lies_so(net: caffe.Net, what: str, engine: str) -> bool:
    """Whether all the blobs do that can."""
    if engine == "numpy":
        return otherwise(net, what) == set(BETWEEN)
    return set(BETWEEN) - {"ip1"} <= otherwise(net, what)


pytestmark = pytest.mark.usefixtures("engine")


def test_what_lies_between_layers_that_can_do_with_it_lies_that_way(tmp_path: Path, engine: str) -> None:
    net = make(tmp_path)
    step(net)
    assert lies_so(net, "data", engine)
    assert lies_so(net, "diff", engine)
    looked_at = make(tmp_path, BETWEEN)
    step(looked_at)
    assert otherwise(looked_at, "data") == otherwise(looked_at, "diff") == set()
    compare(net, looked_at)
    assert otherwise(net, "data") == set(), "now somebody has looked"
    step(net)
    compare(net, looked_at)
    assert otherwise(net, "data") == set()


def test_what_is_shown_at_a_prompt_leaves_all_as_it_lies(tmp_path: Path, engine: str) -> None:
    net, unseen = make(tmp_path), make(tmp_path)
    for n in (net, unseen):
        step(n)
    shown = repr(net.blobs)
    assert lies_so(net, "data", engine)
    assert lies_so(net, "diff", engine)
    in_order = make(tmp_path)
    step(in_order)
    for name in BETWEEN:
        assert in_order.blobs[name].data.any() == in_order.blobs[name].diff.any()
    assert repr(in_order.blobs) == shown
    for n in (net, unseen):
        step(n)
    for name in net.blobs:
        np.testing.assert_array_equal(net.blobs[name].stored("diff"), unseen.blobs[name].stored("diff"), err_msg=name)


XAVIER = 'weight_filler { type: "xavier" }'


def behind(kind: str, params: str = "", bottoms: str = "c", tops: str = "t") -> str:
    """A layer that reads c, and one that reads what it makes."""
    return layer("t", kind, bottoms, tops, params) + layer("s", "Silence", tops)


def convolved(kind: str, params: str) -> str:
    return behind(kind, f"convolution_param {{ {params} {XAVIER} }}")


BEHIND = {
    "plain": "",
    "a view that needs plain order": behind("Softmax"),
    "Flatten": behind("Flatten"),
    "Crop": behind("Crop", "crop_param { axis: 2 }", "c small"),
    "mask": behind("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", tops="t m"),
    "stochastic": layer("a", "AbsVal", "c", "a")
    + behind("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 }", "a"),
    "windows that see nothing": behind("Pooling", "pooling_param { kernel_size: 1 stride: 3 }"),
    "LRN within": behind("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }"),
    "LRN across": behind("LRN"),
    "another axis": convolved("Convolution", "num_output: 3 kernel_size: 2 axis: 2"),
    "dilation": convolved("Convolution", "num_output: 4 group: 2 dilation: 2 kernel_size: 2"),
    "pointwise": convolved("Convolution", "num_output: 3 kernel_size: 1"),
    "Deconvolution": convolved("Deconvolution", "num_output: 3 kernel_size: 2 dilation: 2"),
    "products along another axis": behind("InnerProduct", f"inner_product_param {{ num_output: 3 axis: 2 {XAVIER} }}"),
    "a scale that is learnt": layer("p", "InnerProduct", "c", "p", f"inner_product_param {{ num_output: 8 {XAVIER} }}")
    + behind("Scale", "scale_param { axis: 0 }", "c p"),
}


@pytest.mark.parametrize("name", BEHIND)
def test_no_pass_of_a_layer_decides_the_order_for_the_next(tmp_path: Path, name: str) -> None:
    """Sums would be rounded otherwise in the first pass of a process than in all others: resuming is bit-equal."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        """force_backward: true
layer { name: "x" type: "Input" top: "x" top: "small"
        input_param { shape { dim: 18 dim: 16 dim: 10 dim: 9 } shape { dim: 18 dim: 8 dim: 5 dim: 4 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
        convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "end" type: "Convolution" bottom: "c" top: "end"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }"""
        + BEHIND[name]
    )
    net = caffe.Net(path, caffe.TRAIN, seed=3)
    net.debug_info = True
    net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=net.blobs["x"].shape)

    def free() -> dict[str, tuple[bool, bool]]:
        return {name: (blob._data.free, blob._diff.free) for name, blob in net.blobs.items() if "_split_" not in name}

    before = free()
    assert name != "plain" or before["c"] == (True, True)
    for _ in range(2):
        step(net)
        assert free() == before


@pytest.mark.parametrize("name", BETWEEN)
def test_any_one_of_them_may_be_looked_at(tmp_path: Path, name: str) -> None:
    net, plain = make(tmp_path, (name,)), make(tmp_path, BETWEEN)
    step(net)
    step(plain)
    assert otherwise(net, "data") <= set(BETWEEN) - {name}
    compare(net, plain)


@pytest.mark.parametrize("name", BETWEEN)
def test_an_array_that_is_kept_stays_live(tmp_path: Path, name: str) -> None:
    net, plain = make(tmp_path), make(tmp_path, BETWEEN)
    step(net)
    data, diff = net.blobs[name].data, net.blobs[name].diff
    for n in (net, plain):
        fill(n, seed=8)
        step(n)
    assert data.flags.c_contiguous
    np.testing.assert_allclose(data, plain.blobs[name].data, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(diff, plain.blobs[name].diff, rtol=1e-4, atol=1e-5)
    assert is_same(data, net.blobs[name].data)


@pytest.mark.parametrize("between_passes", [False, True])
@pytest.mark.parametrize("name", BETWEEN)
def test_what_is_written_is_seen_by_the_next_pass(tmp_path: Path, name: str, between_passes: bool) -> None:
    net, plain = make(tmp_path), make(tmp_path, BETWEEN)
    values = np.random.default_rng(1).normal(size=net.blobs[name].shape)
    after = {"pool1": "relu1", "ip1": "relu3"}.get(name, name)
    start = list(net.layer_dict)[list(net.layer_dict).index(after) + 1]
    for n in (net, plain):
        n.clear_param_diffs()
        n.forward()
        n.blobs[name].data[...] = values
        if not between_passes:
            n.forward(start=start)
        n.backward()
    compare(net, plain)


@pytest.mark.parametrize("name", BETWEEN)
def test_a_gradient_that_is_written_is_seen(tmp_path: Path, name: str) -> None:
    net, plain = make(tmp_path), make(tmp_path, BETWEEN)
    values = np.random.default_rng(1).normal(size=net.blobs[name].shape)
    for n in (net, plain):
        step(n)
        n.blobs[name].diff[...] = values
        n.backward(start={"pool1": "relu1", "ip1": "relu3"}.get(name, name))
    compare(net, plain)


@pytest.mark.parametrize("num", [1, 7, 31])
def test_the_batch_may_change(tmp_path: Path, num: int, engine: str) -> None:
    net, plain = make(tmp_path), make(tmp_path, BETWEEN)
    for n in (net, plain):
        step(n)
        n.blobs["x"].reshape(num, 3, 13, 11)
        n.blobs["label"].reshape(num)
        fill(n)
        step(n)
    if engine == "numpy":
        assert otherwise(net, "data") == (set(BETWEEN) if num == 31 else set())
    else:
        assert lies_so(net, "data", engine)
    compare(net, plain)


def test_a_blob_in_another_order_shows_plain_numbers() -> None:
    blob, numbers = Blob((17, 2, 3)), np.arange(102).reshape(17, 2, 3)
    assert blob.written("data") is None
    blob.leave_order_free()
    plain = blob.open("data", Order.PLAIN)
    before = blob.written("data")
    assert before is not None
    assert blob.stored("data") is plain
    assert blob.written("data") == before
    blob.open("data", Order.PLAIN)
    assert blob.written("data") != before
    memory = blob.open("data", Order.BATCH_INNERMOST)
    memory[...] = numbers
    assert memory.shape == (17, 2, 3)
    assert memory.strides == (4, 3 * 17 * 4, 17 * 4)
    before = blob.written("data")
    assert before is not None
    assert np.shares_memory(blob.stored("data"), memory)
    assert blob.written("data") == before
    blob.open("data", Order.BATCH_INNERMOST)
    assert blob.written("data") != before
    np.testing.assert_array_equal(blob.data, numbers)
    assert blob.data.flags.c_contiguous
    assert blob.written("data") is None
    blob.data[3] = 0
    assert not blob.open("data", Order.BATCH_INNERMOST)[3].any(), "it stays as it was looked at"
    assert not blob.diff.any()


@pytest.mark.parametrize("shape", [(17, 2), (5, 2, 3), (30,)])
def test_a_blob_in_another_order_keeps_its_numbers_when_reshaped(shape: tuple[int, ...]) -> None:
    blob, numbers = Blob((17, 2, 3)), np.arange(102).reshape(17, 2, 3)
    blob.leave_order_free()
    blob.open("data", Order.BATCH_INNERMOST)[...] = numbers
    blob.reshape(*shape)
    np.testing.assert_array_equal(blob.stored("data").reshape(-1), numbers.reshape(-1)[: blob.count])
    np.testing.assert_array_equal(blob.data.reshape(-1), numbers.reshape(-1)[: blob.count])


def test_blobs_of_one_storage_agree() -> None:
    blob, numbers = Blob((17, 2, 3)), np.arange(102).reshape(17, 2, 3)
    blob.leave_order_free()
    flat, other = Blob((17, 6)), Blob((34, 3))
    blob.open("data", Order.BATCH_INNERMOST)[...] = numbers
    flat.share_data(blob)
    other.share_data(blob)
    np.testing.assert_array_equal(flat.stored("data"), numbers.reshape(17, 6))
    assert flat.stored("data").strides[0] == 4
    np.testing.assert_array_equal(other.stored("data"), numbers.reshape(34, 3))
    np.testing.assert_array_equal(flat.data, numbers.reshape(17, 6))
