"""HDF5Output, read back with plain h5py."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pycaffe_lite import Net
from pycaffe_lite.errors import ParameterError, ShapeError, SnapshotError
from tests.layers.nets import net_of

DATA = np.random.default_rng(3).normal(size=(5, 2, 3, 4)).astype(np.float32)
LABELS = np.arange(5.0) * 10


def text(file: Path | str, data: str = "dim: 2 dim: 2 dim: 3 dim: 4", label: str = "dim: 2") -> str:
    return (
        'layer { name: "i" type: "Input" top: "x" top: "t" '
        f"input_param {{ shape {{ {data} }} shape {{ {label} }} }} }}\n"
        'layer { name: "o" type: "HDF5Output" bottom: "x" bottom: "t" '
        f'hdf5_output_param {{ file_name: "{file}" }} }}'
    )


def feed(net: Net, rows: slice) -> None:
    for name, values in (("x", DATA[rows]), ("t", LABELS[rows])):
        net.blobs[name].reshape(*values.shape)
        net.blobs[name].data[...] = values
    net.forward()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_passes_are_appended_and_the_file_appears_on_close(tmp_path: Path, dtype: type) -> None:
    file = tmp_path / "out.h5"
    net = net_of(text(file), dtype=dtype)
    assert net.outputs == []
    for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
        feed(net, rows)
        assert not file.exists()
    net.close()
    with h5py.File(file) as read:
        assert set(read) == {"data", "label"}
        assert read["data"].dtype == read["label"].dtype == dtype
        np.testing.assert_array_equal(read["data"][()], DATA)
        assert read["label"].shape == (5, 1, 1, 1)
        np.testing.assert_array_equal(read["label"][:, 0, 0, 0], LABELS)
    assert list(tmp_path.iterdir()) == [file]
    net.close()  # may be repeated


def test_the_file_before_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "out.h5"
    file.write_text("before")
    net = net_of(text(file))
    feed(net, slice(0, 2))
    assert file.read_text() == "before"
    net.close()
    with h5py.File(file) as read:
        assert len(read["data"]) == 2


def test_a_net_that_never_ran_leaves_nothing(tmp_path: Path) -> None:
    net_of(text(tmp_path / "out.h5")).close()
    assert not list(tmp_path.iterdir())


def test_a_net_let_go_finishes_its_file(tmp_path: Path) -> None:
    net = net_of(text(tmp_path / "out.h5"))
    feed(net, slice(0, 2))
    del net
    gc.collect()
    with h5py.File(tmp_path / "out.h5") as read:
        np.testing.assert_array_equal(read["data"][()], DATA[:2])


def test_a_program_that_ends_finishes_its_file(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(text("out.h5"))
    code = "import pycaffe_lite as caffe; net = caffe.Net('net.prototxt', caffe.TEST); net.forward()"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True, capture_output=True)
    with h5py.File(tmp_path / "out.h5") as read:
        assert read["data"].shape == (2, 2, 3, 4)


def test_after_close_a_pass_begins_a_new_file(tmp_path: Path) -> None:
    net = net_of(text(tmp_path / "out.h5"))
    for rows in (slice(0, 2), slice(2, 5)):
        feed(net, rows)
        net.close()
        with h5py.File(tmp_path / "out.h5") as read:
            np.testing.assert_array_equal(read["data"][()], DATA[rows])


@pytest.mark.parametrize(
    ("data", "label", "says"),
    [
        ("dim: 2 dim: 3", "dim: 3", "bottom 0 has 2 rows, bottom 1 has 3"),
        ("dim: 2 dim: 1 dim: 1 dim: 3 dim: 4", "dim: 2", r"\(2, 1, 1, 3, 4\)"),
    ],
)
def test_refused_shapes(tmp_path: Path, data: str, label: str, says: str) -> None:
    with pytest.raises(ShapeError, match=rf"{says}.*layer 'o' of type HDF5Output, net.prototxt:2:"):
        net_of(text(tmp_path / "out.h5", data, label))


def test_rows_of_another_shape_than_before_are_refused(tmp_path: Path) -> None:
    net = net_of(text(tmp_path / "out.h5"))
    feed(net, slice(0, 2))
    net.blobs["x"].reshape(2, 2, 3, 5)
    with pytest.raises(ShapeError, match=r"\(2, 3, 5\).*\(2, 3, 4\).*layer 'o' of type HDF5Output"):
        net.forward()
    net.close()
    with h5py.File(tmp_path / "out.h5") as read:
        assert len(read["data"]) == len(read["label"]) == 2


def test_where_no_file_can_be_written(tmp_path: Path) -> None:
    net = net_of(text(tmp_path / "nowhere" / "out.h5"))
    with pytest.raises(SnapshotError, match=r"out\.h5.*layer 'o' of type HDF5Output"):
        net.forward()
    with pytest.raises(ParameterError, match=r"file_name"):
        net_of(text(""))
