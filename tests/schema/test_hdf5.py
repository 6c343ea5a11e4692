from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest

from pycaffe_lite.errors import (
    CaffeError,
    MissingFileError,
    MissingPackageError,
    ParseError,
    SnapshotError,
    WeightsError,
)
from pycaffe_lite.schema import (
    SolverState,
    read_solverstate_hdf5,
    read_weights_hdf5,
    write_solverstate_hdf5,
    write_weights_hdf5,
)

h5py = pytest.importorskip("h5py")

RNG = np.random.default_rng(2)
BLOBS = {
    "conv": [RNG.random((2, 3, 5, 7), np.float32), RNG.random(2, np.float32)],
    "relu": [],
    "a/1x1": [RNG.random((3, 5), np.float32)],
    "a": [RNG.random(3, np.float32)],
    "sharer": [None, RNG.random(4, np.float32)],
}


def tree(path) -> dict[str, object]:
    """What a file holds: shapes, types, groups; and the bytes of texts."""
    out: dict[str, object] = {}

    def add(name, item):
        if isinstance(item, h5py.Group):
            out[name] = "group"
        else:
            out[name] = (item.shape, item.dtype.str, item[()].tobytes())

    with h5py.File(path) as f:
        f.visititems(add)
    return out


def golden(shared, tmp_path):
    """The HDF5 snapshots that Caffe wrote."""
    for path in sorted((shared / "golden/solvers").glob("*.npz")):
        z = np.load(path)
        for key in z.files:
            if key.startswith("file/") and key.endswith(".h5"):
                goal = tmp_path / f"{path.stem}_{key[5:]}"
                goal.write_bytes(z[key].tobytes())
                yield goal


def test_weights_round_trip(tmp_path):
    write_weights_hdf5(tmp_path / "w.h5", BLOBS, {k: [None if a is None else -a for a in v] for k, v in BLOBS.items()})
    found = read_weights_hdf5(tmp_path / "w.h5")
    assert found.keys() == BLOBS.keys()
    with h5py.File(tmp_path / "w.h5") as file:
        for name, arrays in BLOBS.items():
            assert len(found[name]) == len(arrays)
            for i, (ours, array) in enumerate(zip(found[name], arrays, strict=True)):
                if array is None:
                    assert ours is None
                else:
                    np.testing.assert_array_equal(ours, array, strict=True)
                    np.testing.assert_array_equal(file[f"diff/{name}/{i}"][()], -array, strict=True)


def test_weights_are_laid_out_as_caffes(shared, tmp_path):
    paths = [p for p in golden(shared, tmp_path) if "caffemodel" in p.name]
    paths.append(shared / "models/cifar10_quick_h5/cifar10_quick_iter_5000.caffemodel.h5")
    assert len(paths) > 5
    for path in paths:
        write_weights_hdf5(tmp_path / "ours.h5", read_weights_hdf5(path))
        assert tree(tmp_path / "ours.h5") == tree(path)


def test_a_parameter_that_another_layer_owns(shared, tmp_path):
    (path,) = [p for p in golden(shared, tmp_path) if p.name == "solver_11_snap_iter_6.caffemodel.h5"]
    weights = read_weights_hdf5(path)
    assert [a is None for a in weights["ip2"]] == [True, False]
    assert [a is None for a in weights["ip1"]] == [False, False]


def test_solver_states_are_laid_out_as_caffes(shared, tmp_path):
    paths = [p for p in golden(shared, tmp_path) if "solverstate" in p.name]
    assert len(paths) > 5
    for path in paths:
        state = read_solverstate_hdf5(path)
        assert (state.iter, state.learned_net) == (6, "snap_iter_6.caffemodel.h5")
        write_solverstate_hdf5(tmp_path / "ours.h5", state)
        assert tree(tmp_path / "ours.h5") == tree(path)


def test_solver_state_round_trip(tmp_path):
    state = SolverState(70, "größe.h5", [RNG.random((i + 1, 2)) for i in range(12)], 3)
    write_solverstate_hdf5(tmp_path / "s.h5", state)
    found = read_solverstate_hdf5(tmp_path / "s.h5")
    assert (found.iter, found.learned_net, found.current_step) == (70, "größe.h5", 3)
    for x, y in zip(found.history, state.history, strict=True):
        np.testing.assert_array_equal(x, y, strict=True)


def test_other_floats_are_stored_as_float32(tmp_path):
    write_weights_hdf5(tmp_path / "w.h5", {"a": [np.ones(2, np.float16), np.ones(2, int), np.ones(2)]})
    assert [a.dtype for a in read_weights_hdf5(tmp_path / "w.h5")["a"]] == ["f4", "f4", "f8"]


def test_files_that_are_something_else(tmp_path):
    path = tmp_path / "w.h5"
    with pytest.raises(MissingFileError):
        read_weights_hdf5(path)
    path.write_bytes(b"name: 'n'")
    with pytest.raises(ParseError, match="is no HDF5 file"):
        read_weights_hdf5(path)
    write_solverstate_hdf5(path, SolverState(1, "n", [], 0))
    with pytest.raises(WeightsError, match=r"has no group 'data'\. Is it a solver state\?.*--snapshot"):
        read_weights_hdf5(path)
    write_weights_hdf5(path, BLOBS)
    with pytest.raises(ParseError, match="is no solver state: it has no 'iter'"):
        read_solverstate_hdf5(path)
    with h5py.File(path, "w") as f:
        f["data/conv/0"] = np.ones(3, int)
    with pytest.raises(WeightsError, match="Blob 0 of layer 'conv' is of type int64"):
        read_weights_hdf5(path)
    with h5py.File(path, "w") as f:
        f["iter"] = 3
        f["history"] = 5
    with pytest.raises(CaffeError):
        read_solverstate_hdf5(path)


def test_names_that_cannot_be_groups_leave_the_old_file(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"old")
    with pytest.raises(SnapshotError, match="What was there before is untouched"):
        write_weights_hdf5(tmp_path / "w.h5", {"a": [np.ones(2)], "a/0": [np.ones(2)]})
    assert (tmp_path / "w.h5").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["w.h5"]


def test_without_h5py_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    for call in (lambda: read_weights_hdf5(tmp_path / "w.h5"), lambda: write_weights_hdf5(tmp_path / "w.h5", {})):
        with pytest.raises(MissingPackageError, match=r"pip install 'pycaffe-lite\[hdf5\]'"):
            call()


def test_a_file_cut_off_anywhere(tmp_path):
    write_solverstate_hdf5(tmp_path / "s.h5", SolverState(3, "n", [np.ones((2, 3), np.float32)], 1))
    data = (tmp_path / "s.h5").read_bytes()
    rng = random.Random(1)
    for n in [0, 1, 8, 96, len(data) - 1, *rng.sample(range(len(data)), 40)]:
        (tmp_path / "s.h5").write_bytes(data[:n])
        with pytest.raises(CaffeError):
            read_solverstate_hdf5(tmp_path / "s.h5")


def test_nothing_is_left_of_a_write_that_failed(tmp_path):
    with pytest.raises(SnapshotError):
        write_weights_hdf5(tmp_path / "no" / "w.h5", BLOBS)
    assert not os.listdir(tmp_path)
