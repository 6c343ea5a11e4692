"""Net: pycaffe's surface, passes, shapes, seeds."""

from __future__ import annotations

import copy
import logging
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.errors import GraphError, MissingFileError, ParameterError, ShapeError, UnknownNameError, WeightsError
from pycaffe_lite.proto import caffe_pb2 as pb
from tests.arrays import is_same
from tests.graph.nets import assert_close, fill, gradients, inputs, ip, layer, loss_of, numerical, power
from tests.layers.nets import net_of

TEXT = (
    inputs(data=(4, 3), label=(4,))
    + ip("ip1", "data", "ip1", 5)
    + layer("relu1", "ReLU", "ip1", "ip1")
    + ip("ip2", "ip1", "ip2", 2)
    + layer("loss", "SoftmaxWithLoss", "ip2 label", "loss")
    + layer("accuracy", "Accuracy", "ip2 label", "accuracy", "include { phase: TEST }")
)
"""A small net of two phases."""


@pytest.fixture
def net() -> Net:
    made = net_of(TEXT)
    fill(made)
    made.blobs["label"].data[...] = [0, 1, 1, 0]
    return made


# Constructors.


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "net.prototxt"
    path.write_text('name: "small"' + TEXT)
    return str(path)


def test_constructors(file: str, tmp_path: Path) -> None:
    net = Net(file, TRAIN)
    assert (net.name, net.phase, len(net.layers)) == ("small", TRAIN, 5)
    weights = str(tmp_path / "w.caffemodel")
    net.save(weights)
    w = net.params["ip1"][0].data
    for other in (
        Net(file, TEST, weights=weights),
        Net(file, TEST, 0, None, weights),
        Net(file, weights, TEST),
        Net(file, Path(weights), TEST),
        Net(file, weights=weights, phase=TEST),
        Net(Path(file), phase=TEST, weights=weights),
    ):
        assert other.phase == TEST
        assert "accuracy" in other.layer_dict
        np.testing.assert_array_equal(other.params["ip1"][0].data, w)


def test_level_and_stages(tmp_path: Path) -> None:
    path = tmp_path / "n.prototxt"
    path.write_text(
        inputs(x=(2, 3))
        + power("deep", "x", "a", more="include { min_level: 2 }")
        + power("big", "x", "b", more='include { stage: "big" not_stage: "off" }')
    )
    assert list(Net(path, TEST).layer_dict) == ["input"]
    assert list(Net(path, TEST, 2).layer_dict) == ["input", "deep"]
    assert list(Net(path, TEST, stages=["x", "big"]).layer_dict) == ["input", "big"]
    assert list(Net(path, TEST, level=3, stages=["big", "off"]).layer_dict) == ["input", "deep"]


def test_a_message_is_copied() -> None:
    message = pb.NetParameter()
    message.layer.add(name="d", type="DummyData", top=["x"]).dummy_data_param.shape.add(dim=[2])
    before = message.SerializeToString()
    assert Net(message, TEST).phase == TEST
    assert Net.from_message(message).phase == TEST  # NetState's default, as in Caffe
    assert message.SerializeToString() == before


@pytest.mark.parametrize("phase", [2, -1, None, 0.5])
def test_other_phases(file: str, phase: int) -> None:
    with pytest.raises(ParameterError, match=r"The phase is .*\. It must be pycaffe_lite.TRAIN or pycaffe_lite.TEST"):
        Net(file, phase)


def test_weights_without_a_phase(file: str) -> None:
    with pytest.raises(ParameterError, match="lacks the phase. Add caffe.TEST, or caffe.TRAIN"):
        Net(file, file)


def test_two_files_of_weights(file: str) -> None:
    with pytest.raises(
        ParameterError, match=r"There are two files of weights, a.caffemodel and b.caffemodel\. Give one"
    ):
        Net(file, "a.caffemodel", TEST, weights="b.caffemodel")


def test_missing_files(file: str) -> None:
    with pytest.raises(MissingFileError, match="Did you mean 'net.prototxt'"):
        Net(file.replace("net.", "nett."), TRAIN)
    with pytest.raises(FileNotFoundError):
        Net(file, TRAIN, weights="/nowhere/w.caffemodel")


def test_weights_in_place_of_the_network(tmp_path: Path) -> None:
    """A .caffemodel of a net whose data layer is for phase TRAIN."""
    weights = tmp_path / "w.caffemodel"
    net_of(
        inputs(data=(4, 3)).replace("layer {", "layer { include { phase: TRAIN }", 1) + ip("a", "data", "a", 5)
    ).save(weights)
    with pytest.raises(GraphError, match=r"Unknown bottom blob 'data'.*w\.caffemodel is binary: is it the weights, "):
        Net(weights, TEST)


# Names.


def test_dictionaries(net: Net) -> None:
    assert list(net.blobs) == ["data", "label", "ip1", "ip2", "loss"]
    assert list(net.layer_dict) == ["input", "ip1", "relu1", "ip2", "loss"]
    assert list(net.params) == ["ip1", "ip2"]
    assert [b.shape for b in net.params["ip1"]] == [(5, 3), (5,)]
    assert (net.inputs, net.outputs) == (["data", "label"], ["loss"])
    assert [x.type for x in net.layers] == ["Input", "InnerProduct", "ReLU", "InnerProduct", "SoftmaxWithLoss"]
    assert list(net.layer_dict.values()) == net.layers
    assert list(net.layers[1].blobs) == list(net.params["ip1"])
    for each in (net.blobs, net.params, net.layer_dict, net.top_names, net.bottom_names, net.blob_loss_weights):
        assert isinstance(each, OrderedDict)
    assert net.top_names["input"] == ["data", "label"]
    assert net.bottom_names["loss"] == ["ip2", "label"]
    assert net.bottom_names["input"] == []
    assert net.top_names["relu1"] == net.bottom_names["relu1"] == ["ip1"]
    assert net.blob_loss_weights == {"data": 0, "label": 0, "ip1": 0, "ip2": 0, "loss": 1}


def test_wrong_names(net: Net) -> None:
    for get in (lambda: net.blobs["ip3"], lambda: net.forward(["ip3"]), lambda: net.backward(["ip3"])):
        with pytest.raises(UnknownNameError, match="This net has no blob 'ip3'. Did you mean 'ip"):
            get()
    for run in (net.forward, net.backward):
        for key in ("start", "end"):
            with pytest.raises(UnknownNameError, match="This net has no layer 'relu2'. Did you mean 'relu1'"):
                run(**{key: "relu2"})
    with pytest.raises(UnknownNameError, match="This net has no layer with parameters 'relu1'"):
        net.params["relu1"]
    with pytest.raises(KeyError):
        net.blobs["nothing"]


# Forward.


def test_forward_returns_the_outputs(net: Net) -> None:
    out = net.forward()
    assert list(out) == ["loss"]
    x, t = net.blobs["data"].data, net.blobs["label"].data.astype(int)
    (w1, b1), (w2, b2) = ([b.data for b in net.params[n]] for n in ("ip1", "ip2"))
    y = np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
    expected = np.mean(np.log(np.exp(y).sum(1)) - y[np.arange(4), t])
    assert float(out["loss"]) == pytest.approx(float(expected), rel=1e-5)
    assert loss_of(net) == pytest.approx(float(expected), rel=1e-5)


def test_forward_takes_inputs_and_more_blobs(net: Net) -> None:
    x = np.arange(12.0).reshape(4, 3)
    out = net.forward(["ip1", "data"], data=x, label=np.zeros(4))
    assert sorted(out) == ["data", "ip1", "loss"]
    np.testing.assert_array_equal(net.blobs["data"].data, x)
    assert out["data"].dtype == np.float32
    assert is_same(net.forward(blobs=["ip2"])["ip2"], net.blobs["ip2"].data)


def test_part_of_the_net(net: Net) -> None:
    net.forward()
    y = net.blobs["ip2"].data.copy()
    out = net.forward(end="ip2")
    assert list(out) == ["ip2"]
    net.blobs["ip1"].data[...] = 0
    assert list(net.forward(start="ip2", end="ip2", blobs=["data"])) == ["ip2", "data"]
    np.testing.assert_array_equal(net.blobs["ip2"].data, np.tile(net.params["ip2"][1].data, (4, 1)))
    assert list(net.forward(start="ip1")) == ["loss"]
    np.testing.assert_array_equal(net.blobs["ip2"].data, y)
    assert net._forward(4, 4) == pytest.approx(net.blobs["loss"].data.item())
    assert net._forward(1, 3) == 0


def test_wrong_inputs(net: Net) -> None:
    x, t = np.zeros((4, 3)), np.zeros(4)
    with pytest.raises(
        GraphError, match="Input blob arguments do not match net inputs: given data, needed data, label"
    ):
        net.forward(data=x)
    with pytest.raises(GraphError, match="given data, label, more, needed data, label"):
        net.forward(data=x, label=t, more=t)
    with pytest.raises(
        ShapeError,
        match=r"Input is not batch sized: 'data' has 5 items, its blob 4\. Reshape first: "
        r"net\.blobs\['data'\]\.reshape\(5, 3\)",
    ):
        net.forward(data=np.zeros((5, 3)), label=t)
    with pytest.raises(ShapeError, match=r"Input 'data' has shape \(4, 7\), its blob \(4, 3\)"):
        net.forward(data=np.zeros((4, 7)), label=t)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"data": np.zeros((4, 3))}, "a dict"),
        (np.zeros((4, 3)), "a ndarray"),
        ([np.zeros((4, 3))], "a list"),
    ],
    ids=["dict", "array", "arrays"],
)
@pytest.mark.parametrize(
    ("method", "keyword"),
    [
        ("forward", "blobs"),
        ("backward", "diffs"),
        ("forward_all", "blobs"),
        ("forward_backward_all", "blobs"),
        ("forward_backward_all", "diffs"),
    ],
)
def test_arrays_where_names_belong(net: Net, method: str, keyword: str, given: object, kind: str) -> None:
    name = "loss" if method == "backward" else "data"
    with pytest.raises(
        ParameterError,
        match=rf"^The {keyword} given to {method}\(\), {kind}, are no list of names\. "
        rf"Arrays go by name: net\.{method}\({name}=array\)\.$",
    ):
        getattr(net, method)(**{keyword: given})
    with pytest.raises(ParameterError, match=rf"^{keyword} is the text 'ip1'\. Give a list: {keyword}=\['ip1'\]\.$"):
        getattr(net, method)(**{keyword: "ip1"})


@pytest.mark.parametrize(
    ("shape", "given", "hint"),
    [
        ((1, 3, 5, 7), (3, 5, 7), "It lacks the batch axis: x=array[np.newaxis]."),
        (
            (4, 3, 5, 7),
            (3, 5, 7),
            "It lacks the batch axis: x=array[np.newaxis]. Reshape first: net.blobs['x'].reshape(1, 3, 5, 7).",
        ),
        (
            (1, 3, 5, 7),
            (3, 2, 2),
            "It lacks the batch axis: x=array[np.newaxis]. Reshape first: net.blobs['x'].reshape(1, 3, 2, 2).",
        ),
        ((1, 3, 5, 7), (1, 5, 7, 3), "Channels come first: x=array.transpose(0, 3, 1, 2)."),
        ((1, 3, 5, 7), (5, 7, 3), "Channels come first: x=array.transpose(2, 0, 1)[np.newaxis]."),
        ((2, 3, 5), (2, 5, 3), "Channels come first: x=array.transpose(0, 2, 1)."),
        ((1, 3, 5, 7), (1, 3, 7, 7), "Reshape first: net.blobs['x'].reshape(1, 3, 7, 7)."),
        ((4, 1), (7,), ""),
        ((4,), (3, 4), ""),
    ],
)
def test_inputs_of_another_number_of_axes(shape: tuple[int, ...], given: tuple[int, ...], hint: str) -> None:
    net = net_of(inputs(x=shape))
    with pytest.raises(ShapeError) as e:
        net.forward(x=np.zeros(given))
    assert (e.value.found, e.value.hint) == (f"Input 'x' has shape {given}, its blob {shape}", hint)


# Backward.


def test_gradients_are_right() -> None:
    net = net_of(TEXT, dtype=np.float64)
    fill(net)
    net.blobs["label"].data[...] = [0, 1, 1, 0]
    assert_close(gradients(net), numerical(net), atol=1e-7)


def test_gradients_add_up_until_they_are_cleared(net: Net) -> None:
    once = gradients(net)
    net.backward()
    for blob in net.learnable.blobs:
        np.testing.assert_allclose(blob.diff, 2 * once[blob.name], rtol=1e-5, atol=1e-7)
    net.clear_param_diffs()
    assert not any(np.any(b.diff) for b in net.learnable.blobs)


def test_backward_returns_the_inputs_diffs(net: Net) -> None:
    net.forward()
    found = net.backward()
    assert list(found) == ["data", "label"]
    assert is_same(found["data"], net.blobs["data"].diff)
    assert sorted(net.backward(["ip1"])) == ["data", "ip1", "label"]
    assert list(net.backward(end="ip2")) == ["ip1"]
    assert list(net.backward(end="ip2", diffs=["loss"])) == ["ip1", "loss"]


def test_backward_from_a_layer_and_with_top_diffs(net: Net) -> None:
    once = gradients(net)
    net.clear_param_diffs()
    net.backward(end="loss")
    assert not net.params["ip2"][0].diff.any()
    net.backward(start="ip2")
    assert_close({b.name: b.diff for b in net.learnable.blobs}, once)
    net.clear_param_diffs()
    net.backward(loss=3)
    assert_close(
        {b.name: b.diff for b in net.learnable.blobs}, {k: 3 * v for k, v in once.items()}, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(GraphError, match="Top diff arguments do not match net outputs: given ip2, needed loss"):
        net.backward(ip2=np.zeros((4, 2)))


# Shapes.


def test_a_reshaped_input_reshapes_the_net(net: Net) -> None:
    for batch in (7, 2, 9):
        net.blobs["data"].reshape(batch, 3)
        net.blobs["label"].reshape(batch)
        fill(net)
        net.blobs["label"].data[...] = 1
        assert net.forward(["ip2"])["ip2"].shape == (batch, 2)
        net.backward()
        assert net.blobs["ip1"].diff.shape == (batch, 5)


def test_reshape_without_running(net: Net) -> None:
    net.blobs["data"].reshape(6, 3)
    net.blobs["label"].reshape(6)
    net.reshape()
    assert net.blobs["ip1"].shape == (6, 5)
    assert net.blobs["ip2"].shape == (6, 2)


def test_a_top_that_somebody_reshaped_is_put_right(net: Net) -> None:
    before = loss_of(net)
    net.blobs["ip2"].reshape(1, 8)
    assert loss_of(net) == before
    assert net.blobs["ip2"].shape == (4, 2)


def test_shapes_that_do_not_fit_name_the_layer(net: Net) -> None:
    net.blobs["data"].reshape(4, 7)
    for run in (net.forward, net.reshape):
        with pytest.raises(
            ShapeError,
            match=r"bottom shape \(4, 7\) gives vectors of 7, the weights are for 3 "
            r"\(layer 'ip1' of type InnerProduct, net.prototxt:2:1\)",
        ):
            run()
    net.blobs["data"].reshape(4, 3)
    net.forward()


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_the_number_of_axes_of_images_stays(kind: str) -> None:
    net = net_of(
        inputs(x=(2, 3, 8, 8)) + layer("c", kind, "x", "y", "convolution_param { num_output: 4 kernel_size: 2 }")
    )
    net.blobs["x"].reshape(2, 3, 8, 8, 8)
    with pytest.raises(ShapeError, match=r"has 5 axes, the weights are for 4 .*\(layer 'c'"):
        net.forward()


def test_a_bad_label_names_the_layer(net: Net) -> None:
    net.blobs["label"].data[2] = 2
    with pytest.raises(caffe.CaffeError, match=r"Label 2 of item 2 .*\(layer 'loss' of type SoftmaxWithLoss, net"):
        net.forward()


# Numbers.


def test_float64(tmp_path: Path) -> None:
    net = net_of(TEXT, dtype=np.float64)
    fill(net)
    net.blobs["label"].data[...] = 1
    net.forward()
    net.backward()
    blobs = [*net.blobs.values(), *net.learnable.blobs]
    assert all(a.dtype == np.float64 for b in blobs for a in (b.data, b.diff))
    assert net.learnable.data.array().dtype == np.float64


def test_the_same_seed_makes_the_same_net() -> None:
    def numbers(seed: int | None, text: str = TEXT) -> list[float]:
        return list(np.concatenate([b.data.ravel() for b in net_of(text, seed=seed).params["ip2"]]))

    assert numbers(1) == numbers(1)
    assert numbers(1) != numbers(2)
    assert numbers(None) != numbers(None)
    # a layer's numbers depend on its name, not on what stands before it
    assert numbers(1) == numbers(1, TEXT.replace('"ip1"', '"first"'))
    np.random.seed(3)
    first = numbers(5)
    np.random.seed(4)
    assert numbers(5) == first


def test_set_random_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pycaffe_lite._random._seed", None)
    caffe.set_random_seed(9)
    one, other = net_of(TEXT), net_of(TEXT)
    assert not np.array_equal(one.params["ip1"][0].data, other.params["ip1"][0].data)
    np.testing.assert_array_equal(one.params["ip1"][0].data, net_of(TEXT, seed=9).params["ip1"][0].data)
    caffe.set_random_seed(9)
    for net in (one, other):
        np.testing.assert_array_equal(net.params["ip1"][0].data, net_of(TEXT).params["ip1"][0].data)


def test_set_random_seed_counts_in_nets_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pycaffe_lite._random._seed", None)
    nets = [net_of(inputs(x=(3, 50)) + layer("drop", "Dropout", "x", "y"), TRAIN, seed=seed) for seed in (None, 1)]
    seen = []
    for seed in (5, 5, 6):
        caffe.set_random_seed(seed)
        seen += [[net.forward(x=np.ones((3, 50)))["y"].copy() for _ in range(2)] for net in nets]
    (a, b), (c, d), (e, f), (g, h), (i, _), _ = seen
    for one, other in ((a, c), (a, e), (a, g), (b, d), (b, f), (b, h)):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(a, b)
    assert not np.array_equal(a, i)


# Others.


def test_weights_are_written_in_place(net: Net) -> None:
    net.params["ip1"][0].data[...] = 0
    net.params["ip1"][1].data[...] = [1, -1, 2, -2, 3]
    net.forward(end="relu1")
    np.testing.assert_array_equal(net.blobs["ip1"].data, [[1, 0, 2, 0, 3]] * 4)


@pytest.mark.parametrize("shape", [(3, 3), (50, 30)])
def test_weights_of_another_size_are_refused(net: Net, tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Where they were lost without a word: a reshape of what belongs to the layer."""
    net.forward()
    net.params["ip1"][0].reshape(*shape)
    says = rf"Learnable blob 0 has shape {re.escape(str(shape))}, the layer needs 15 numbers.*layer 'ip1'"
    for use in (net.forward, net.reshape, lambda: net.save(tmp_path / "w"), lambda: net.save_hdf5(tmp_path / "w.h5")):
        with pytest.raises(WeightsError, match=says):
            use()
    assert not [*tmp_path.iterdir()]


def test_sharing_weights_with_a_test_net(net: Net) -> None:
    test = net_of(TEXT, TEST)
    test.share_with(net)
    assert np.shares_memory(test.params["ip1"][0].data, net.params["ip1"][0].data)
    assert not np.shares_memory(test.params["ip1"][0].diff, net.params["ip1"][0].diff)
    test.forward(data=net.blobs["data"].data, label=net.blobs["label"].data)
    before = net.forward()["loss"].copy()
    np.testing.assert_array_equal(test.blobs["loss"].data, before)
    net.learnable.data.array()[...] *= 2
    np.testing.assert_array_equal(test.forward()["loss"], net.forward()["loss"])
    assert test.blobs["loss"].data != before


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    net_of(TEXT)
    said = caplog.text
    for line in (
        "Creating Layer ip1",
        "ip1 <- data",
        "ip1 -> ip1",
        "relu1 -> ip1 (in-place)",
        "Setting up ip2",
        "Top shape: 4 5 (20)",
        "with loss weight 1",
        "Memory required for data: 260",
        "ip1 needs backward computation.",
        "input does not need backward computation.",
        "This network produces output loss",
        "Network initialization done.",
        "The NetState phase (0) differed from the phase (1) specified by a rule in layer accuracy",
    ):
        assert line in said


def test_summary_and_repr(net: Net) -> None:
    assert "ip1" in str(net.summary())
    assert repr(net)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_cannot_be_copied(net: Net, duplicate: Callable[[object], object]) -> None:
    with pytest.raises(caffe.CaffeError, match=r"cannot be copied or pickled. Build a second one; .*share_with\(net\)"):
        duplicate(net)


def test_close_reaches_every_layer(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[caffe.Layer] = []
    for each in net.layers:
        monkeypatch.setattr(type(each), "close", closed.append)
    net.close()
    assert closed == net.layers


def test_texts_in_place_of_phase_and_stages(tmp_path: Path) -> None:
    (tmp_path / "n.prototxt").write_text(TEXT)
    with pytest.raises(ParameterError, match=r"phase is the text 'TEST'\. Write pycaffe_lite\.TEST"):
        Net(tmp_path / "n.prototxt", "TEST")
    with pytest.raises(ParameterError, match=r"The level is 'w.caffemodel'. Weights go by name: weights=file"):
        Net(tmp_path / "n.prototxt", TEST, "w.caffemodel")
    for dtype in (np.float16, np.int32, "complex64"):
        with pytest.raises(ParameterError, match=r"The dtype is \w+. It must be np.float32 or np.float64"):
            Net(tmp_path / "n.prototxt", TEST, dtype=dtype)
    with pytest.raises(ParameterError, match=r"stages=\['deploy'\]"):
        Net(tmp_path / "n.prototxt", TEST, stages="deploy")


@pytest.mark.parametrize("value", [None, "text", {"a": 1}])
def test_inputs_that_are_no_numbers(net: Net, value: object) -> None:
    with pytest.raises(ShapeError, match="Input 'data' is .*, no array of numbers"):
        net.forward(data=value, label=np.zeros(4))
    with pytest.raises(ShapeError, match="Input 'data' is an array of complex128, no array of numbers"):
        net.forward(data=np.zeros((4, 3), complex), label=np.zeros(4))


def test_a_layer_in_place_returns_what_it_made() -> None:
    """Also where the blob of that name in `blobs` is another layer's, as its gradient needs what came before."""
    text = inputs(x=(2, 3)) + "".join(
        layer(name, kind, bottom, "y", params)
        for name, kind, bottom, params in (
            ("a", "InnerProduct", "x", 'inner_product_param { num_output: 4 weight_filler { type: "xavier" } }'),
            ("t", "TanH", "y", ""),
            ("e", "Exp", "y", ""),
        )
    )
    net = net_of("force_backward: true " + text)
    net.blobs["x"].data[...] = 1
    y = net.params["a"][0].data.sum(axis=1)
    np.testing.assert_allclose(net.forward(end="a")["y"], [y, y], rtol=1e-5)
    np.testing.assert_allclose(net.forward(end="t")["y"], np.tanh([y, y]), rtol=1e-5)
    np.testing.assert_allclose(net.forward()["y"], np.exp(np.tanh([y, y])), rtol=1e-5)
    net.blobs["y"].diff[...] = 1
    np.testing.assert_allclose(net.backward(end="e")["y"], np.exp(np.tanh([y, y])), rtol=1e-5)


@pytest.mark.parametrize("name", ["same", ""])
def test_layers_of_one_name_draw_other_numbers(name: str) -> None:
    params = 'inner_product_param { num_output: 4 weight_filler { type: "xavier" } }'
    net = net_of(
        inputs(x=(2, 3)) + "".join(layer(name, "InnerProduct", "x", top, params) for top in "abc"),
        seed=1,
    )
    first, *others = (made.blobs[0].data for made in net.layers if made.blobs)
    assert len(others) == 2
    assert not any(np.array_equal(first, other) for other in others)
    assert not np.array_equal(*others)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kind", ["Pooling", "SoftmaxWithLoss", "SigmoidCrossEntropyLoss"])
def test_a_backward_pass_before_any_forward_pass(kind: str) -> None:
    """Of what memory holds at first, zeros: as in Caffe, nothing fails."""
    if kind == "Pooling":
        text = inputs(x=(2, 3, 4, 4)) + layer("a", kind, "x", "y", "pooling_param { kernel_size: 2 stride: 2 }")
    else:
        text = inputs(x=(2, 3), t=(2,) if kind.startswith("Softmax") else (2, 3)) + layer("a", kind, "x t", "y")
    net = net_of(f"force_backward: true {text}", seed=1)
    assert net.backward()["x"].shape == net.blobs["x"].shape


def test_a_filter_whose_tops_are_of_another_selector() -> None:
    net = net_of(
        "force_backward: true "
        + inputs(x=(3, 2), keep=(3,))
        + layer("f", "Filter", "x keep", "y", "propagate_down: true propagate_down: false")
    )
    net.blobs["keep"].data[...] = [1, 0, 1]
    with pytest.raises(GraphError, match=r"lets 2 items through, the tops have 3 .layer 'f'.* Run forward before"):
        net.backward()
    net.forward()
    net.blobs["y"].diff[...] = 1
    np.testing.assert_array_equal(net.backward()["x"], [[1, 1], [0, 0], [1, 1]])
