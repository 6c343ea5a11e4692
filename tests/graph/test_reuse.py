"""Nets with reuse_memory=True: the same outputs in less memory, and no blob shows what is another's."""

from __future__ import annotations

import gc
import logging
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import memory
from pycaffe_lite.buffer import Buffer
from pycaffe_lite.errors import GraphError, MemoryLimitError, MemoryReusedError, ParameterError
from pycaffe_lite.graph.reuse import Tenant, assign
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from pycaffe_lite.testing import LayerCase
from pycaffe_lite.testing.cases import Bench
from tests.arrays import is_same
from tests.layers.cases import CASES

from .nets import inputs, ip, layer, power


def conv(name: str, bottom: str, outputs: int, more: str = "") -> str:
    fillers = 'weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "uniform" }'
    return layer(
        name,
        "Convolution",
        bottom,
        name,
        f"convolution_param {{ num_output: {outputs} kernel_size: 3 pad: 1 {fillers} {more} }}",
    )


NET = (
    inputs(x=(3, 8, 13, 11))
    + conv("conv1", "x", 16)
    + layer("relu1", "ReLU", "conv1", "conv1")
    + layer("pool1", "Pooling", "conv1", "pool1", "pooling_param { kernel_size: 3 stride: 2 }")
    + conv("left", "pool1", 8)
    + conv("right", "pool1", 24)
    + layer("norm", "LRN", "right", "norm")
    + layer("both", "Concat", "left norm", "both")
    + layer("drop", "Dropout", "both", "both")
    + conv("conv2", "both", 32)
    + layer("sum", "Eltwise", "conv2 both", "sum")
    + conv("conv3", "sum", 16)
    + layer("flat", "Flatten", "conv3", "flat")
    + ip("ip1", "flat", "ip1", 20)
    + layer("tanh", "TanH", "ip1", "tanh")
    + ip("ip2", "tanh", "ip2", 10)
    + layer("prob", "Softmax", "ip2", "prob")
)
PASSING = ("Convolution", "Deconvolution", "LRN", "Pooling")
LOST = ("conv1", "pool1", "left", "right", "norm", "conv2", "ip1")
"""Blobs in whose memory others are after a pass, or that an engine has not written (conv2)."""


pytestmark = pytest.mark.usefixtures("poisoned_buffers")


def net_of(text: str = NET, reuse_memory: bool = True, **more: Any) -> caffe.Net:
    message, positions = parse_text(text, pb.NetParameter, "net.prototxt")
    message.state.phase = caffe.TEST
    net = caffe.Net.from_message(message, positions, seed=3, reuse_memory=reuse_memory, **more)
    fill(net)
    return net


def fill(net: caffe.Net, seed: int = 5) -> None:
    rng = np.random.default_rng(seed)
    for name in net.inputs:
        net.blobs[name].data[...] = rng.normal(size=net.blobs[name].shape)


def held(net: caffe.Net) -> int:
    return net.memory_use().data


@pytest.mark.usefixtures("engine")
class TestWithEachEngine:
    def test_the_outputs_are_the_same_in_less_memory(self) -> None:
        plain, net = net_of(reuse_memory=False), net_of()
        for seed in range(3):
            for n in (plain, net):
                fill(n, seed)
            np.testing.assert_array_equal(net.forward()["prob"], plain.forward()["prob"])
        assert plain.memory_for_data == net.memory_for_data
        assert held(net) == net._reuse.nbytes < 0.65 * held(plain)  # type: ignore[union-attr]
        assert not any(b._diff.allocated for b in net.blobs.values())

    def test_what_has_lost_its_memory_is_not_shown(self) -> None:
        net = net_of()
        net.forward()
        for name in LOST:
            with pytest.raises(
                MemoryReusedError,
                match=f"(The memory of blob '{name}' has been|There are no numbers of blob '{name}', as)",
            ):
                net.blobs[name].data  # noqa: B018
            assert repr(net.blobs[name]) == f"{name} {net.blobs[name].shape} float32 · memory reused"
        assert "memory reused" in repr(net.blobs)
        for name in ("x", "prob"):
            assert np.isfinite(net.blobs[name].data).all()

    def test_before_the_first_pass(self) -> None:
        net = net_of()
        for name in ("conv1", "flat"):
            with pytest.raises(MemoryReusedError, match=r"^There is no memory for blob 'conv\d' before") as e:
                net.blobs[name].data  # noqa: B018
        assert "no memory for blob 'conv3' before layer 'conv3' runs" in str(e.value)
        assert not any(b._data.allocated for n, b in net.blobs.items() if n != "x")

    @pytest.mark.parametrize("name", [*LOST, "both", "conv3", "flat", "tanh"])
    def test_a_blob_asked_for_is_right_and_stays_so(self, name: str) -> None:
        plain, net = net_of(reuse_memory=False), net_of()
        net.forward()
        expected = plain.forward(blobs=[name])
        got = net.forward(blobs=[name])
        for key in (name, "prob"):
            np.testing.assert_array_equal(got[key], expected[key])
        fill(plain, 9), fill(net, 9)
        plain.forward(), net.forward()
        np.testing.assert_array_equal(net.blobs[name].data, plain.blobs[name].data)
        assert is_same(got[name], net.blobs[name].data), "live, as in any net"

    def test_all_of_them_at_once(self) -> None:
        plain, net = net_of(reuse_memory=False), net_of()
        for _ in range(2):
            got = net.forward(blobs=list(net.blobs))
            for name, array in plain.forward(blobs=list(plain.blobs)).items():
                np.testing.assert_array_equal(got[name], array, err_msg=name)
        assert held(net) >= held(plain)

    def test_asking_while_it_is_there_takes_the_memory_along(self) -> None:
        plain, net = net_of(reuse_memory=False), net_of()
        net.forward(end="pool1")
        got = net.forward(blobs=["pool1"], start="left")
        expected = plain.forward(blobs=["pool1"])
        for key in ("pool1", "prob"):
            np.testing.assert_array_equal(got[key], expected[key])

    def test_an_array_that_is_held_keeps_its_numbers(self) -> None:
        plain, net = net_of(reuse_memory=False), net_of()
        seen = {}

        def look(index: int) -> None:
            seen.update({name: net.blobs[name].data for name in net._nodes[index].top_names})

        net.after_forward(look)
        for seed in (1, 2):
            fill(plain, seed), fill(net, seed)
            net.forward(), plain.forward()
            for name in set(seen) - {"conv1", "both"}:  # which layers in place have written to since
                np.testing.assert_allclose(seen[name], plain.blobs[name].data, rtol=1e-4, atol=1e-5, err_msg=name)

    def test_layer_by_layer_and_from_the_middle(self) -> None:
        plain, net = net_of(reuse_memory=False), net_of()
        prob = plain.forward()["prob"]
        for name in net.layer_dict:
            got = net.forward(start=name, end=name)
            for top, array in got.items():
                assert np.isfinite(array).all(), top
        np.testing.assert_array_equal(net.blobs["prob"].data, prob)
        with pytest.raises(MemoryReusedError, match=r"of blob 'pool1' has been .*\(layer 'left' of type Convolution"):
            net.forward(start="left")
        np.testing.assert_array_equal(net.forward()["prob"], prob)
        np.testing.assert_array_equal(net.forward(start="ip2")["prob"], prob)

    def test_a_pass_that_was_cut_off_does_no_harm(self) -> None:
        plain, net = net_of(reuse_memory=False), net_of()
        for end in ("left", "both", "conv1", "conv3"):
            net.forward(end=end)
            np.testing.assert_array_equal(net.forward()["prob"], plain.forward()["prob"])

    @pytest.mark.parametrize("sizes", [(7, 1, 9), (1, 3, 2)])
    def test_shapes_may_change(self, sizes: tuple[int, ...]) -> None:
        plain, net = net_of(reuse_memory=False), net_of()
        for k, num in enumerate(sizes):
            for n in (plain, net):
                n.blobs["x"].reshape(num, 8, 13, 11)
                fill(n, k)
                if k == 1:
                    n.reshape()
            for _ in range(2):
                np.testing.assert_array_equal(net.forward()["prob"], plain.forward()["prob"])
        assert held(net) < 0.9 * held(plain)


def test_the_outputs_of_a_net_are_never_touched() -> None:
    """Nor what a layer without bottoms made: users write inputs once, DummyData its constants."""
    text = (
        inputs(x=(2, 30))
        + layer("d", "DummyData", "", "c", "dummy_data_param { shape { dim: 2 dim: 30 } data_filler { value: 3 } }")
        + ip("a", "x", "a", 30)
        + layer("out", "Sigmoid", "a", "out")
        + ip("b", "a", "b", 30)
        + ip("c1", "b", "c1", 30)
        + layer("e", "Eltwise", "c1 c", "e")
        + ip("f", "e", "f", 30)
        + ip("g", "f", "g", 30)
    )
    plain, net = net_of(text, reuse_memory=False), net_of(text)
    for _ in range(2):
        expected, got = plain.forward(), net.forward()
        assert list(got) == ["g", "out"]
        for name in got:
            np.testing.assert_array_equal(got[name], expected[name])
        np.testing.assert_array_equal(net.blobs["c"].data, np.full((2, 30), 3))
    assert net.blobs["b"].lost


def test_what_python_layers_touch_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adds_up.py").write_text(
        "import pycaffe_lite as caffe\n"
        "class AddsUp(caffe.Layer):\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].data.shape)\n"
        "    def forward(self, bottom, top):\n"
        "        assert bottom[0].data.flags.c_contiguous\n"
        "        top[0].data[...] += bottom[0].data\n"
        "    def backward(self, top, propagate_down, bottom): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    python = 'python_param { module: "adds_up" layer: "AddsUp" }'
    text = (
        inputs(x=(2, 8, 5, 5))
        + conv("a", "x", 8)
        + conv("b", "a", 8)
        + conv("c", "b", 8)
        + layer("up", "Python", "c", "up", python)
        + conv("d", "up", 8)
        + conv("e", "d", 8)
        + conv("f", "e", 8)
    )
    plain, net = net_of(text, reuse_memory=False), net_of(text)
    for _ in range(3):
        np.testing.assert_array_equal(net.forward()["f"], plain.forward()["f"])
        net.reshape()
    np.testing.assert_array_equal(net.blobs["up"].data, plain.blobs["up"].data)
    assert net.blobs["a"].lost


def test_tops_whose_size_the_data_decide() -> None:
    text = (
        inputs(x=(6, 4), keep=(6,))
        + power("a", "x", "a")
        + power("b", "a", "b")
        + layer("filter", "Filter", "b keep", "some")
        + power("c", "some", "c")
        + power("d", "c", "d")
        + power("e", "d", "e")
    )
    plain, net = net_of(text, reuse_memory=False), net_of(text)
    for keep in ([1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 1]):
        for n in (plain, net):
            n.blobs["keep"].data[...] = keep
        np.testing.assert_array_equal(net.forward()["e"], plain.forward()["e"])
    assert net.blobs["some"].lost


def test_debug_info(caplog: pytest.LogCaptureFixture) -> None:
    said = []
    for reuse_memory in (False, True):
        net = net_of("debug_info: true\n" + NET, reuse_memory)
        caplog.clear()
        with caplog.at_level(logging.INFO, "pycaffe_lite"):
            net.forward()
        said.append([r.getMessage() for r in caplog.records if "[Forward]" in r.getMessage()])
    assert said[0] == said[1] != []


def test_weights_of_another_net() -> None:
    plain, net = net_of(reuse_memory=False), net_of()
    for blob in plain.learnable.blobs:
        blob.data[...] *= 0.7
    net.share_with(plain)
    np.testing.assert_array_equal(net.forward()["prob"], plain.forward()["prob"])


def test_a_users_own_sharing_is_not_disturbed() -> None:
    net, other = net_of(), caffe.Blob((3, 16, 13, 11))
    net.blobs["conv1"].share_data(other)
    net.forward()
    assert np.isfinite(other.data).all()
    assert other.data.any()


def test_forward_all() -> None:
    plain, net = net_of(reuse_memory=False), net_of()
    x = np.random.default_rng(1).normal(size=(8, 8, 13, 11))
    expected, got = (n.forward_all(blobs=["pool1"], x=x) for n in (plain, net))
    for name in ("pool1", "prob"):
        np.testing.assert_array_equal(got[name], expected[name])


def test_there_is_no_backward_pass() -> None:
    net = net_of("force_backward: true\n" + NET)
    net.forward()
    with pytest.raises(GraphError, match="A net with reuse_memory=True has no backward pass"):
        net.backward()


def test_layers_run_in_place_where_only_a_backward_pass_would_be_in_the_way() -> None:
    text = (
        inputs(x=(20, 30), label=(20,))
        + ip("a", "x", "a", 40)
        + layer("norm", "BatchNorm", "a", "a")
        + layer("scale", "Scale", "a", "a", 'scale_param { filler { type: "uniform" } }')
        + ip("b", "a", "b", 10)
        + layer("loss", "SoftmaxWithLoss", "b label", "loss")
    )
    plain, net = net_of(text, reuse_memory=False), net_of(text)
    for n in (plain, net):
        n.blobs["label"].data[...] = np.arange(20) % 10
    tops = [{id(top) for node in n._nodes for top in node.tops} for n in (plain, net)]
    assert len(tops[1]) == len(tops[0]) - 1 == 5
    np.testing.assert_allclose(net.forward()["loss"], plain.forward()["loss"], rtol=1e-5)  # InnerProduct takes the rest


def test_only_for_nets_in_phase_test(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    with pytest.raises(ParameterError, match="reuse_memory=True is for nets in phase TEST"):
        caffe.Net(path, caffe.TRAIN, reuse_memory=True)
    assert caffe.Net(path, caffe.TEST, reuse_memory=True)._reuse is not None


def test_a_net_let_go_gives_its_memory_back_at_once() -> None:
    net = net_of()
    net.forward()
    refs = [weakref.ref(x) for x in (net, net.blobs["conv1"], net.layer_dict["conv1"])]
    gc.collect()
    gc.disable()
    try:
        del net
        assert [r() for r in refs] == [None] * 3
    finally:
        gc.enable()


def test_what_fits_only_so_is_built(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    text = inputs(x=(100,)) + "".join(power(f"p{i + 1}", f"p{i}" if i else "x", f"p{i + 1}") for i in range(10))
    monkeypatch.setattr(memory, "memory_limit", lambda: 4 * 400)
    with pytest.raises(MemoryLimitError, match="The net up to blob 'p4'"):
        net_of(text, reuse_memory=False)
    with caplog.at_level(logging.INFO, "pycaffe_lite"):
        net_of(text)
    assert "Memory required for data: 4400" in caplog.text
    assert "Memory required for data, reused: 1600" in caplog.text  # x, two in turn, the output
    monkeypatch.setattr(memory, "memory_limit", lambda: 4 * 400 - 1)
    with pytest.raises(MemoryLimitError, match="The net needs 1.6 KiB"):
        net_of(text)


@pytest.mark.usefixtures("onednn")
def test_passes_that_are_alike_find_their_arrays_again(monkeypatch: pytest.MonkeyPatch, by_layers: None) -> None:
    plain, net = net_of(reuse_memory=False), net_of()
    taken: list[int] = []
    take = Buffer.take

    def counted(self: Buffer, count: int, dtype: npt.DTypeLike) -> np.ndarray:
        taken.append(count)
        return take(self, count, dtype)

    monkeypatch.setattr(Buffer, "take", counted)

    def passes() -> int:
        """How often memory is asked for in a pass, in the end."""
        for _ in range(3):
            taken.clear()
            np.testing.assert_array_equal(net.forward()["prob"], plain.forward()["prob"])
        return len(taken)

    usual = passes()
    assert usual < len([node for node in net._nodes if node.bottoms]) / 2
    shape = net.blobs["x"].shape
    for n in (net, plain):
        n.blobs["x"].reshape(2 * shape[0], *shape[1:])
        n.blobs["x"].data[...] = np.random.default_rng(5).normal(size=n.blobs["x"].shape)
    assert passes() == usual
    held = net.forward(end="conv1")["conv1"]
    assert passes() <= usual + 1
    np.testing.assert_array_equal(held, np.maximum(plain.forward(end="conv1")["conv1"], 0))  # relu1 came before others


@pytest.mark.usefixtures("engine")
def test_layers_share_working_memory() -> None:
    text = NET + conv("beside", "x", 8)  # of x, too, oneDNN makes a copy in an order of its own
    plain, net = net_of(text, reuse_memory=False), net_of(text)
    for _ in range(3):
        np.testing.assert_array_equal(net.forward()["prob"], plain.forward()["prob"])
    shared = net.layer_dict["conv1"]._shared_scratch
    assert shared
    assert net.layer_dict["conv3"]._shared_scratch is net.layer_dict["norm"]._shared_scratch is shared
    assert net.layer_dict["tanh"]._shared_scratch is None
    copy_of_x = net.blobs["x"].data.nbytes
    assert net.memory_use().working_memory <= plain.memory_use().working_memory - copy_of_x


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("case", [c for c in CASES if c.type in PASSING], ids=str)
def test_no_layer_finds_what_others_wrote(case: LayerCase) -> None:
    """As the contract's check, in float32, for which engines have layers of their own."""
    bench, alone = Bench(case, dtype=np.float32), Bench(case, dtype=np.float32)
    bench.layer._shared_scratch = {}
    bench.forward(), alone.forward()
    for shared in bench.layer._shared_scratch.values():
        shared.fill(0xFF)
    for got, want in zip(bench.forward(), alone.forward(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_tenants_go_into_the_smallest_buffer_that_is_free() -> None:
    def tenant(count: int, first: int, last: int) -> Tenant:
        return Tenant([caffe.Blob((count,))], first, last, True)

    large, small, after_large, after_small, between = (
        tenant(100, 0, 1),
        tenant(10, 1, 2),
        tenant(50, 2, 3),
        tenant(9, 3, 4),
        tenant(1, 0, 0),
    )
    rooms = assign([small, after_small, between, large, after_large])
    assert rooms == [[large, after_large], [small, after_small, between]]
    assert [t.buffer.size for t in (large, after_large, small, between) if t.buffer] == [400, 400, 40, 40]
    assert between.buffer is small.buffer
