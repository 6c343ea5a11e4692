"""Weights in and out: what fits, what does not, and BVLC Caffe's own files."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest

from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.errors import MissingFileError, ParseError, SnapshotError, WeightsError
from pycaffe_lite.proto import caffe_pb2 as pb
from tests.graph.nets import assert_close, fill, gradients, inputs, ip, layer, power
from tests.layers.nets import net_of

TEXT = (
    inputs(x=(2, 3), t=(2, 3))
    + ip("a", "x", "a", 7)
    + ip("c", "a", "b", 3)
    + layer("loss", "EuclideanLoss", "b t", "loss")
)
SHARED = (
    inputs(x=(2, 3), t=(2, 3))
    + ip("a", "x", "a", 3, 'param { name: "w" } param {}')
    + ip("c", "a", "b", 3, 'param { name: "w" } param {}')
    + layer("loss", "EuclideanLoss", "b t", "loss")
)


def weights(net: Net) -> dict[str, list[np.ndarray]]:  # type: ignore[type-arg]
    return {name: [b.data.copy() for b in blobs] for name, blobs in net.params.items()}


def assert_equal(one: Net, other: Net) -> None:
    assert list(one.params) == list(other.params)
    for name in one.params:
        for a, b in zip(one.params[name], other.params[name], strict=True):
            np.testing.assert_array_equal(a.data, b.data)


def saved(net: Net, path: Path) -> Path:
    """The path, where the net's weights are now, as HDF5 if it ends in .h5."""
    (net.save_hdf5 if path.suffix == ".h5" else net.save)(path)
    return path


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
@pytest.mark.parametrize("text", [TEXT, SHARED], ids=["plain", "shared"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(tmp_path: Path, name: str, text: str, dtype: type) -> None:
    one, other = net_of(text, seed=1, dtype=dtype), net_of(text, TEST, seed=2, dtype=dtype)
    path = tmp_path / name
    (one.save_hdf5 if name.endswith("h5") else one.save)(path)
    found = other.copy_from(str(path))
    assert_equal(one, other)
    assert (found.matched, found.kept) == (["a", "c"], [])
    one.learnable.data.array()[...] = 0
    if name.endswith("h5"):
        one.load_hdf5(path)
        assert_equal(one, other)


def test_float32_files_fit_float64_nets(tmp_path: Path) -> None:
    one, other = net_of(TEXT, seed=1), net_of(TEXT, seed=2, dtype=np.float64)
    one.save(tmp_path / "w.caffemodel")
    other.copy_from(tmp_path / "w.caffemodel")
    assert_equal(one, other)


def test_the_file_holds_the_net_as_caffe_writes_it(tmp_path: Path) -> None:
    net = net_of('name: "n" ' + TEXT + power("p", "x", "y"))
    net.save(tmp_path / "w.caffemodel")
    message = pb.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    assert message.name == "n"
    assert [m.name for m in message.layer] == list(net.layer_dict)
    assert message.layer[1].type == "Split"
    a = message.layer[2]
    assert (a.name, a.inner_product_param.num_output, a.phase, len(a.blobs)) == ("a", 7, net.phase, 2)
    assert list(a.blobs[0].shape.dim) == [7, 3]
    np.testing.assert_array_equal(a.blobs[0].data, net.params["a"][0].data.ravel())
    assert not a.blobs[0].diff


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
def test_gradients_are_written_when_asked_for(tmp_path: Path, name: str) -> None:
    net = net_of(TEXT)
    fill(net)
    expected = gradients(net)
    path = tmp_path / name
    if name.endswith("h5"):
        net.save_hdf5(path, write_diff=True)
        with h5py.File(path) as f:
            found = {f"{n}[{j}]": f[f"diff/{n}/{j}"][()] for n in "ac" for j in (0, 1)}
    else:
        net.save(path, True)
        layers = pb.NetParameter.FromString(path.read_bytes()).layer
        found = {
            f"{m.name}[{j}]": np.reshape(b.diff, tuple(b.shape.dim)) for m in layers for j, b in enumerate(m.blobs)
        }
    assert_close(found, expected)


def test_hdf5_holds_a_shared_blob_once(tmp_path: Path) -> None:
    net = net_of(SHARED)
    net.save_hdf5(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as f:
        assert {n: sorted(g) for n, g in f["data"].items()} == {"input": [], "a": ["0", "1"], "c": ["1"], "loss": []}
        np.testing.assert_array_equal(f["data/a/0"], net.params["c"][0].data)


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
def test_layers_without_a_partner(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    caplog.set_level(logging.INFO)
    path = saved(net_of(TEXT, seed=1), tmp_path / name)
    other = net_of(inputs(x=(2, 3)) + ip("a", "x", "a", 7) + ip("new", "a", "n", 2), seed=2)
    before = weights(other)
    found = other.copy_from(path)
    assert (found.matched, found.ignored, found.kept, found.unfit) == (["a"], ["c"], ["new"], {})
    assert "Ignoring source layer c" in caplog.text
    assert f"Not in {path}, and left as they were: new" in caplog.text
    np.testing.assert_array_equal(other.params["new"][0].data, before["new"][0])
    assert str(found).splitlines() == [
        f"Weights of {path}",
        "  loaded   a",
        "  kept     new (not in the file, as filled)",
        "  ignored  c (in the file only)",
    ]


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
def test_weights_of_no_layer(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    path = saved(net_of(TEXT), tmp_path / name)
    other = net_of(inputs(x=(2, 3)) + ip("q", "x", "q", 7) + ip("r", "q", "r", 2))
    for fine in (net_of(inputs(x=(2, 3)) + power("p", "x", "p")), net_of(TEXT)):
        fine.copy_from(path)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    other.copy_from(path)
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        f"{path} has no weights for any layer of this net: it names a, c, the net q, r"
    ]


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
def test_what_fits_is_loaded_where_not_all_must(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    source = net_of(TEXT, seed=1)
    source.params["c"][1].data[...] = 5
    path = saved(source, tmp_path / name)
    wider = net_of(TEXT.replace("num_output: 7", "num_output: 6"), seed=2)
    before = weights(wider)
    found = wider.copy_from(path, strict=False)
    assert (found.matched, found.kept) == (["c"], [])
    assert found.unfit == {
        "a": [
            f"shape {ours} for blob {j}, the file has {theirs}"
            for ours, j, theirs in (((6, 3), 0, (7, 3)), ((6,), 1, (7,)))
        ],
        "c": ["shape (3, 6) for blob 0, the file has (3, 7)"],
    }
    assert "  unfit    c: shape (3, 6) for blob 0, the file has (3, 7)" in str(found)
    assert "Layer c does not take all weights of" in caplog.text
    for blob, was in zip(wider.params["a"], before["a"], strict=True):
        np.testing.assert_array_equal(blob.data, was)
    np.testing.assert_array_equal(wider.params["c"][0].data, before["c"][0])
    assert np.all(wider.params["c"][1].data == 5)


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
def test_too_many_and_too_few_blobs_where_not_all_must_fit(tmp_path: Path, name: str) -> None:
    both, bare = net_of(TEXT, seed=1), net_of(TEXT.replace("num_output: 7", "num_output: 7 bias_term: false"), seed=2)
    path = saved(both, tmp_path / name)
    found = bare.copy_from(path, strict=False)
    assert found.unfit == {"a": ["1 learnable blobs, the file has 2"]}
    np.testing.assert_array_equal(bare.params["a"][0].data, both.params["a"][0].data)
    saved(bare, path)
    both.params["a"][1].data[...] = 3
    found = both.copy_from(path, strict=False)
    assert list(found.unfit) == ["a"]
    assert np.all(both.params["a"][1].data == 3)


def test_nothing_is_copied_when_something_does_not_fit(tmp_path: Path) -> None:
    path = saved(net_of(TEXT, seed=1), tmp_path / "w.caffemodel")
    other = net_of(TEXT.replace("num_output: 3", "num_output: 3 bias_term: false"), seed=2)  # only c's last blob
    before = weights(other)
    with pytest.raises(WeightsError, match="layer 'c'"):
        other.copy_from(path)
    np.testing.assert_array_equal(other.params["a"][0].data, before["a"][0])


def test_the_constructor_takes_strict(tmp_path: Path) -> None:
    path = saved(net_of(TEXT, seed=1), tmp_path / "w.caffemodel")
    (tmp_path / "n.prototxt").write_text(TEXT.replace("num_output: 7", "num_output: 6"))
    with pytest.raises(WeightsError):
        Net(tmp_path / "n.prototxt", TEST, weights=path)
    assert Net(tmp_path / "n.prototxt", TEST, weights=path, strict=False).params["a"][0].shape == (6, 3)


@pytest.mark.parametrize("name", ["w.caffemodel", "w.caffemodel.h5"])
def test_weights_of_another_net(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    net = net_of(TEXT)
    (net.save_hdf5 if name.endswith("h5") else net.save)(path)
    other = net_of(TEXT.replace("num_output: 7", "num_output: 6"))
    with pytest.raises(WeightsError) as e:
        other.copy_from(path)
    assert str(e.value) == (
        f"The weights in {path} do not fit: the net has shape (6, 3) for blob 0, the file has (7, 3) (layer 'a' of "
        "type InnerProduct, net.prototxt:2:1). "
        "To take the other layers' weights and train this one anew, give it another name; in Python, strict=False does "
        "too."
    )
    without = net_of(TEXT.replace("num_output: 7", "num_output: 7 bias_term: false"))
    with pytest.raises(WeightsError, match="the net has 1 learnable blobs, the file has 2"):
        without.copy_from(path)
    (without.save_hdf5 if name.endswith("h5") else without.save)(path)
    with pytest.raises(
        WeightsError, match="the net has 2 (learnable blobs, the file has 1|blobs, the file has no blob 1)"
    ):
        net.copy_from(path)


def test_old_files_pad_shapes_to_four_axes(tmp_path: Path) -> None:
    net = net_of(TEXT)
    message = pb.NetParameter()
    a = message.layer.add(name="a", type="InnerProduct")
    a.blobs.add(num=1, channels=1, height=7, width=3, data=range(21))
    a.blobs.add(num=1, channels=1, height=1, width=7, data=range(7))
    (tmp_path / "w.caffemodel").write_bytes(message.SerializeToString())
    net.copy_from(tmp_path / "w.caffemodel")
    np.testing.assert_array_equal(net.params["a"][0].data, np.arange(21).reshape(7, 3))
    np.testing.assert_array_equal(net.params["a"][1].data, np.arange(7))
    a.blobs[1].height = 7
    a.blobs[1].width = 1
    (tmp_path / "w.caffemodel").write_bytes(message.SerializeToString())
    with pytest.raises(WeightsError, match=r"the net has shape \(7,\) for blob 1, the file has \(1, 1, 7, 1\)"):
        net.copy_from(tmp_path / "w.caffemodel")


def test_a_caffemodel_is_a_network_with_weights(tmp_path: Path) -> None:
    net = net_of(TEXT, seed=1)
    net.save(tmp_path / "w.caffemodel")
    again = Net(tmp_path / "w.caffemodel", TRAIN, seed=2)
    assert list(again.layer_dict) == list(net.layer_dict)
    assert_equal(net, again)
    assert not any(n.message.blobs for n in again._nodes)
    message = pb.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    del message.layer[1].blobs[1]
    with pytest.raises(WeightsError, match="in the network file do not fit: the net has 2 learnable blobs"):
        Net(message, TRAIN)


def test_of_layers_with_one_name_the_first_is_meant(tmp_path: Path) -> None:
    net = net_of(inputs(x=(2, 3)) + ip("a", "x", "a", 3) + ip("a", "a", "b", 3))
    message = pb.NetParameter()
    message.layer.add(name="a").blobs.add(data=[5] * 9).shape.dim[:] = [3, 3]
    message.layer[0].blobs.add(data=[6] * 3).shape.dim[:] = [3]
    (tmp_path / "w.caffemodel").write_bytes(message.SerializeToString())
    net.copy_from(tmp_path / "w.caffemodel")
    assert np.all(net.layers[2 if net.layers[1].type == "Split" else 1].blobs[0].data == 5)
    assert not np.any(net.layers[-1].blobs[0].data == 5)


def test_other_files(tmp_path: Path) -> None:
    net = net_of(TEXT)
    with pytest.raises(MissingFileError):
        net.copy_from(tmp_path / "w.caffemodel")
    (tmp_path / "w.caffemodel").write_text("<html>")
    with pytest.raises(ParseError):
        net.copy_from(tmp_path / "w.caffemodel")
    with pytest.raises(ParseError):
        net.load_hdf5(tmp_path / "w.caffemodel")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    net = net_of(TEXT)
    for save in (net.save, net.save_hdf5):
        with pytest.raises(SnapshotError, match="Cannot write"):
            save(tmp_path / "no" / "w")


def test_sharing_with_a_net_that_differs() -> None:
    net = net_of(TEXT)
    net_of(inputs(x=(2, 3)) + ip("b", "x", "y", 2)).share_with(net)
    with pytest.raises(
        WeightsError, match=r"The weights in the other net do not fit: the net has shape \(6, 3\) for blob 0"
    ) as e:
        net_of(TEXT.replace("num_output: 7", "num_output: 6")).share_with(net)
    assert "strict" not in str(e.value)
    two = inputs(x=(2, 3)) + ip("a", "x", "y", 4) + ip("b", "y", "z", 2)
    net, other = net_of(two, seed=1), net_of(two.replace("num_output: 2", "num_output: 5"), seed=2)
    with pytest.raises(WeightsError, match="layer 'b'"):
        other.share_with(net)
    assert not np.array_equal(other.params["a"][0].data, net.params["a"][0].data), "nothing was shared"
    net = net_of(TEXT)
    with pytest.raises(WeightsError, match="the net has float64 numbers, the other has float32"):
        net_of(TEXT, dtype=np.float64).share_with(net)
    with pytest.raises(WeightsError, match="the net has 1 learnable blobs, the other has 2"):
        net_of(TEXT.replace("num_output: 7", "num_output: 7 bias_term: false")).share_with(net)


# BVLC Caffe's own files.


@pytest.mark.parametrize("name", ["lenet_init", "lenet_iter_5000"])
def test_bvlc_lenet_goes_through_unchanged(shared: Path, tmp_path: Path, name: str) -> None:
    original = shared / "golden" / "lenet" / f"{name}.caffemodel"
    message = pb.NetParameter.FromString(original.read_bytes())
    bare = pb.NetParameter()
    bare.CopyFrom(message)
    for each in bare.layer:
        del each.blobs[:]
    _without_data(bare)
    net = Net.from_message(bare)
    found = net.copy_from(original)
    assert found.matched == ["conv1", "conv2", "ip1", "ip2"]
    assert found.kept == []
    for each in message.layer:
        for proto, blob in zip(each.blobs, net.layer_dict[each.name].blobs, strict=True):
            np.testing.assert_array_equal(np.array(proto.data, np.float32).reshape(blob.shape), blob.data)
    for path in (tmp_path / "w.caffemodel", tmp_path / "w.h5"):
        (net.save_hdf5 if path.suffix == ".h5" else net.save)(path)
        again = Net.from_message(bare, seed=99)
        again.copy_from(path)
        assert_equal(net, again)
    written = pb.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    assert written.layer[1:] == message.layer[1:]


def _without_data(net: pb.NetParameter) -> None:
    """An Input layer in place of the database."""
    data = net.layer[0]
    tops = list(data.top)
    data.Clear()
    data.name, data.type = "mnist", "Input"
    data.top.extend(tops)
    data.input_param.shape.add(dim=[64, 1, 28, 28])
    data.input_param.shape.add(dim=[64])
