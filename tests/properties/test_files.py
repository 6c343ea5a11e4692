"""Weights, solver states, means, pictures and databases: whatever the bytes, arrays or a CaffeError."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycaffe_lite import TEST, Net
from pycaffe_lite.data.datum import array_to_datum, parse_datums
from pycaffe_lite.data.hdf5 import HDF5Source
from pycaffe_lite.data.lmdb import LMDBWriter
from pycaffe_lite.errors import SnapshotError, WeightsError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import (
    SolverState,
    read_binaryproto,
    read_net,
    read_solverstate,
    read_solverstate_hdf5,
    write_solverstate,
    write_solverstate_hdf5,
)
from tests.graph.nets import inputs, ip
from tests.layers.nets import net_of
from tests.properties.guard import only_caffe_errors, run
from tests.properties.strategies import damaged, messages

TEXT = inputs(x=(2, 3)) + ip("a", "x", "a", 4) + ip("b", "a", "b", 2)
ARRAYS = [np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(4.0)]


def written(write: Callable[[Path], object], folder: Path) -> bytes:
    write(folder / "whole")
    return (folder / "whole").read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files") / "file"


@pytest.fixture(scope="module")
def net() -> Net:
    return net_of(TEXT, TEST)


@pytest.fixture(scope="module")
def caffemodels(path: Path) -> list[bytes]:
    """Of float and of double, and one of the oldest kind."""
    whole = [written(net_of(TEXT, dtype=dtype).save, path.parent) for dtype in (np.float32, np.float64)]
    v1 = pb.NetParameter()
    layer = v1.layers.add(name="a", type=pb.V1LayerParameter.INNER_PRODUCT)
    layer.blobs.add(num=1, channels=1, height=4, width=3, data=range(12))
    layer.blobs.add(num=1, channels=1, height=1, width=4, data=range(4))
    return [*whole, v1.SerializeToString()]


@given(data=st.data(), strict=st.booleans())
def test_damaged_weights(path: Path, net: Net, caffemodels: list[bytes], data: st.DataObject, strict: bool) -> None:
    path.write_bytes(data.draw(damaged(data.draw(st.sampled_from(caffemodels)))))
    with only_caffe_errors():
        net.copy_from(path, strict=strict)
        run(net)


@given(messages(pb.NetParameter), st.booleans())
def test_weights_of_random_fields(path: Path, net: Net, message: pb.NetParameter, strict: bool) -> None:
    for layer, name in zip(message.layer, "abc", strict=False):
        layer.name = name
    path.write_bytes(message.SerializePartialToString())
    with only_caffe_errors():
        net.copy_from(path, strict=strict)


@given(st.data())
def test_damaged_networks_with_weights(path: Path, caffemodels: list[bytes], data: st.DataObject) -> None:
    path.write_bytes(data.draw(damaged(data.draw(st.sampled_from(caffemodels)))))
    with only_caffe_errors():
        run(Net(path, TEST))


@given(messages(pb.NetParameter))
def test_networks_of_random_fields(path: Path, message: pb.NetParameter) -> None:
    path.write_bytes(message.SerializePartialToString())
    with only_caffe_errors():
        run(Net(path, TEST))


@given(st.binary(max_size=200))
def test_any_bytes(path: Path, net: Net, raw: bytes) -> None:
    path.write_bytes(raw)
    for read in (net.copy_from, net.load_hdf5, read_net, read_solverstate, read_binaryproto, read_solverstate_hdf5):
        with only_caffe_errors():
            read(path)


@given(st.data())
def test_damaged_solver_states(path: Path, data: st.DataObject) -> None:
    state = SolverState(7, "n.caffemodel", ARRAYS, 2)
    whole = written(lambda goal: write_solverstate(goal, state), path.parent)
    path.write_bytes(data.draw(damaged(whole)))
    with only_caffe_errors():
        read_solverstate(path)


@given(messages(pb.BlobProto))
def test_means_of_random_fields(path: Path, message: pb.BlobProto) -> None:
    path.write_bytes(message.SerializePartialToString())
    with only_caffe_errors():
        read_binaryproto(path)


def read_rows(path: Path) -> None:
    """As data."""
    (path.parent / "list.txt").write_text(f"{path}\n")
    HDF5Source(str(path.parent / "list.txt"), ["data/a/0"], 2, False, np.random.default_rng(0)).shapes()


def test_a_name_in_latin_1(path: Path) -> None:
    message = pb.NetParameter(layer=[pb.LayerParameter(name="wxyz", type="Input", top=["xxx"])])
    message.layer[0].input_param.shape.add(dim=[2, 3])
    path.write_bytes(message.SerializeToString().replace(b"wxyz", b"gr\xfcn").replace(b"xxx", b"r\xf6t"))
    assert (list(Net(path, TEST).layer_dict), Net(path, TEST).inputs) == (["grün"], ["röt"])


def test_an_empty_array_of_endless_rows(path: Path) -> None:
    path.write_bytes(pb.BlobProto(shape=pb.BlobShape(dim=[0, 2**63 - 1])).SerializeToString())
    with pytest.raises(WeightsError, match="the impossible shape"):
        read_binaryproto(path)


def test_a_link_of_hdf5_that_leads_nowhere(path: Path, net: Net) -> None:
    h5py = pytest.importorskip("h5py")
    net.save_hdf5(path)
    with h5py.File(path, "a") as file:
        del file["data/a/0"]
        file["data/a/0"] = h5py.SoftLink("/nowhere")
    with pytest.raises(WeightsError, match="Blob 0 of layer 'a' is missing"):
        net.load_hdf5(path)


def test_a_name_with_a_null_byte(net: Net) -> None:
    for save in (net.save, net.save_hdf5):
        with pytest.raises(SnapshotError, match="is no name for a file"):
            save("a\0b")


@given(st.data())
def test_damaged_hdf5(path: Path, net: Net, data: st.DataObject) -> None:
    state = SolverState(7, "n.caffemodel.h5", ARRAYS, 2)
    write, read = data.draw(
        st.sampled_from(
            [
                (net.save_hdf5, net.load_hdf5),
                (lambda goal: write_solverstate_hdf5(goal, state), read_solverstate_hdf5),
                (net.save_hdf5, read_rows),
            ]
        )
    )
    path.write_bytes(data.draw(damaged(written(write, path.parent))))
    with only_caffe_errors():
        read(path)


def pictures() -> list[bytes]:
    """Datums of bytes, of floats, and of a picture in each of three formats."""
    image_module = pytest.importorskip("PIL.Image")
    pixels = np.arange(3 * 5 * 7, dtype=np.uint8).reshape(5, 7, 3)
    whole = [array_to_datum(pixels.transpose(2, 0, 1), 3), array_to_datum(np.ones((1, 2, 3)), 3)]
    for kind in ("PNG", "JPEG", "BMP"):
        buffer = io.BytesIO()
        image_module.fromarray(pixels).save(buffer, kind)
        whole.append(pb.Datum(data=buffer.getvalue(), encoded=True, label=1))
    return [datum.SerializeToString() for datum in whole]


@given(st.data())
def test_damaged_datums(data: st.DataObject) -> None:
    raw = data.draw(damaged(data.draw(st.sampled_from(pictures()))))
    with only_caffe_errors():
        parse_datums([raw], force_color=data.draw(st.booleans()))


@given(messages(pb.Datum))
def test_datums_of_random_fields(message: pb.Datum) -> None:
    with only_caffe_errors():
        parse_datums([message.SerializePartialToString()])


@given(st.data())
def test_databases_of_damaged_datums(path: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("lmdb") / "db"
    whole = pictures()
    with LMDBWriter(folder) as writer:
        for i in range(3):
            writer.put(b"%d" % i, data.draw(damaged(whole[0])) if i else whole[0])
    text = f'layer {{ name: "d" type: "Data" top: "x" top: "y" data_param {{ source: "{folder}" backend: LMDB '
    with only_caffe_errors():
        loader = net_of(text + "batch_size: 3 } transform_param { crop_size: 3 mirror: true } }")
        try:
            loader.forward()
        finally:
            loader.close()
