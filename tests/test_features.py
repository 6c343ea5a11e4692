"""Features in databases and files, compared with what net.forward gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import glog
from pycaffe_lite.cli import main
from pycaffe_lite.data.database import BACKENDS, new_database, open_database
from pycaffe_lite.data.datum import array_to_datum, datum_to_array
from pycaffe_lite.errors import CaffeError, ParameterError, ShapeError, UnknownNameError
from pycaffe_lite.features import extract_features
from pycaffe_lite.proto.caffe_pb2 import Datum

NET = """
layer {
  name: "images" type: "Data" top: "data" top: "label"
  data_param { source: "images" batch_size: 4 backend: LMDB }
}
layer {
  name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 2 weight_filler { type: "gaussian" } }
}
layer {
  name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 6 weight_filler { type: "gaussian" } }
}
"""


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    yield
    glog.uninstall()


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> caffe.Net:
    """A net on a database of ten images in the current folder; its file is net.prototxt, its weights w.caffemodel."""
    monkeypatch.chdir(tmp_path)
    with new_database("images") as db:
        for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (10, 1, 5, 6)).astype(np.uint8)):
            db.put(b"%08d" % i, array_to_datum(image, i).SerializeToString())
    Path("net.prototxt").write_text(NET)
    net = caffe.Net("net.prototxt", caffe.TEST)
    net.save("w.caffemodel")
    return net


def expected(*blobs: str, batches: int) -> list[np.ndarray]:
    net = caffe.Net("net.prototxt", caffe.TEST, weights="w.caffemodel")
    found = []
    for _ in range(batches):
        net.forward()
        found.append([net.blobs[b].data.copy() for b in blobs])
    return [np.concatenate(rows) for rows in zip(*found, strict=True)]


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("backend", BACKENDS)
def test_in_databases(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract_features", "w.caffemodel", "net.prototxt", "conv,ip,label", "a,b,c", "3", backend]) == 0
    assert "Extracted features of 12 images for feature blob ip" in capsys.readouterr().err
    for path, rows in zip("abc", expected("conv", "ip", "label", batches=3), strict=True):
        with open_database(path, backend) as db:
            assert list(db.keys()) == [b"%010d" % i for i in range(12)]
            for value, row in zip(db, rows, strict=True):
                datum = Datum.FromString(value)
                assert (datum.channels, datum.height, datum.width) == (*row.shape, 1, 1, 1)[:3]
                np.testing.assert_array_equal(datum_to_array(datum).ravel(), row.ravel())


@pytest.mark.usefixtures("net")
def test_in_hdf5_which_a_net_reads_again(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    argv = ["extract-features", "w.caffemodel", "net.prototxt", "ip,label", "f.h5,f.h5", "2", "hdf5", "GPU", "0"]
    assert main(argv) == 0
    Path("list.txt").write_text("f.h5\n")
    Path("again.prototxt").write_text(
        'layer { name: "h" type: "HDF5Data" top: "ip" top: "label" '
        'hdf5_data_param { source: "list.txt" batch_size: 8 } }'
    )
    again = caffe.Net("again.prototxt", caffe.TEST)
    again.forward()
    for name, rows in zip(("ip", "label"), expected("ip", "label", batches=2), strict=True):
        np.testing.assert_array_equal(again.blobs[name].data, rows)


@pytest.mark.parametrize(
    ("blobs", "outputs", "kind", "error", "says"),
    [
        (["ip", "conv"], ["a"], "lmdb", ParameterError, "2 blobs and 1 outputs"),
        (["ip", "conv"], ["a", "a"], "lmdb", ParameterError, "same output"),
        (["ip", "ip"], ["a", "a"], "hdf5", ParameterError, "same output"),
        (["pi"], ["a"], "lmdb", UnknownNameError, "no blob 'pi'"),
        (["ip"], ["none/a"], "lmdb", CaffeError, "none/a"),
        (["ip"], ["none/a"], "hdf5", CaffeError, "none/a"),
    ],
)
def test_errors(
    net: caffe.Net, blobs: list[str], outputs: list[str], kind: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        extract_features(net, blobs, outputs, 1, kind)
    assert not Path("a").exists()


def test_a_blob_of_five_axes_is_no_datum(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "x" type: "Input" top: "x" ' "input_param { shape { dim: 2 dim: 3 dim: 1 dim: 4 dim: 5 } } }"
    )
    net = caffe.Net(tmp_path / "net.prototxt", caffe.TEST)
    with pytest.raises(ShapeError, match="try hdf5"):
        extract_features(net, ["x"], [str(tmp_path / "a")], 1, "lmdb")
    assert extract_features(net, ["x"], [str(tmp_path / "a")], 3, "hdf5") == [6]


def test_a_loss_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text('layer { name: "x" type: "Input" top: "x" input_param { shape { } } }')
    with pytest.raises(ShapeError, match=r"shape \(\), of which no rows can be made. It needs a batch axis"):
        extract_features(caffe.Net(tmp_path / "net.prototxt", caffe.TEST), ["x"], [str(tmp_path / "a")], 1, "hdf5")


def test_nothing_is_left_where_the_net_fails(net: caffe.Net) -> None:
    def fail(layer: int) -> None:
        raise RuntimeError("enough")

    net.before_forward(fail)
    for kind in ("lmdb", "hdf5"):
        with pytest.raises(RuntimeError, match="enough"):
            extract_features(net, ["ip"], ["a"], 1, kind)
        assert not Path("a").exists()
    assert {p.name for p in Path().iterdir()} == {"images", "net.prototxt", "w.caffemodel"}


@pytest.mark.usefixtures("net")
def test_untrained_layers_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.prototxt").write_text(NET.replace('name: "ip"', 'name: "ip2"'))
    assert main(["extract_features", "w.caffemodel", "net.prototxt", "ip", "a", "1", "lmdb"]) == 0
    assert "no weights for ip2" in capsys.readouterr().err


def test_files_are_tried_before_the_work(net: caffe.Net, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    Path("folder").mkdir()
    monkeypatch.setattr(net, "forward", None)
    with pytest.raises(CaffeError, match="folder: Is a directory"):
        extract_features(net, ["ip"], ["folder"], 1, "hdf5")
