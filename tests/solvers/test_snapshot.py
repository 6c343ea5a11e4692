"""Snapshots: their names, what is in them, going on from them, and what is left when one fails."""

from __future__ import annotations

import errno
import logging
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import MissingFileError, MissingPackageError, ParameterError, ParseError, SnapshotError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import SolverState, read_caffemodel, read_solverstate, write_solverstate
from pycaffe_lite.solvers import Solver
from tests.solvers import toy

BINARY = {"s_iter_6.caffemodel", "s_iter_6.solverstate", "s_iter_6.solverstate.resume"}
HDF5 = {"s_iter_6.caffemodel.h5", "s_iter_6.solverstate.h5", "s_iter_6.solverstate.h5.resume"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(folder: Path, text: str = "", seed: int = 5) -> Solver:
    return toy.make(
        folder, f'{text} snapshot_prefix: "s"', basis=toy.BASIS.replace("random_seed: 5", f"random_seed: {seed}")
    )


def written(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} - {"net.prototxt", "solver.prototxt"}


@pytest.mark.parametrize("kind", toy.TYPES)
@pytest.mark.parametrize("hdf5", [False, True])
def test_going_on_is_as_if_never_stopped(kind: str, hdf5: bool, tmp_path: Path) -> None:
    text = (
        f'{toy.TYPES[kind]} weight_decay: 0.01 lr_policy: "multistep" gamma: 0.5 stepvalue: 3 stepvalue: 9 '
        'snapshot_prefix: "s" ' + ("snapshot_format: HDF5" if hdf5 else "")
    )
    basis = toy.BASIS.replace('lr_policy: "fixed"', "")
    whole = toy.make(tmp_path, text, basis=basis)
    whole.step(6)
    whole.snapshot()
    assert written(tmp_path) == (HDF5 if hdf5 else BINARY)
    whole.step(6)

    resumed = toy.make(tmp_path, text, basis=basis.replace("random_seed: 5", "random_seed: 8"))
    resumed.restore("s_iter_6.solverstate" + (".h5" if hdf5 else ""))
    assert resumed.iter == 6
    resumed.net.layer_dict["data"].position = 6
    resumed.step(6)
    for a, b in zip(toy.weights(whole), toy.weights(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    assert resumed.lr == whole.lr


def test_what_a_solver_state_says(tmp_path: Path) -> None:
    text = 'type: "Adam" momentum: 0.9 lr_policy: "step" gamma: 0.5 stepsize: 2 snapshot_prefix: "s"'
    solver = toy.make(tmp_path, text, basis=toy.BASIS.replace('lr_policy: "fixed"', ""))
    solver.step(6)
    solver.snapshot()
    state = read_solverstate("s_iter_6.solverstate")
    assert (state.iter, state.learned_net, state.current_step) == (6, "s_iter_6.caffemodel", 2)
    assert [h.shape for h in state.history] == [(7, 5), (7,), (3, 7), (3,)] * 2
    message = pb.SolverState.FromString(Path("s_iter_6.solverstate").read_bytes())  # what Caffe reads
    assert (message.iter, len(message.history)) == (6, 8)
    weights = {w.name: w.blobs for w in read_caffemodel("s_iter_6.caffemodel")}
    np.testing.assert_array_equal(weights["ip2"][0], solver.net.params["ip2"][0].data)


def test_snapshots_in_between_and_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    make(tmp_path, "snapshot: 5").solve()
    assert sorted(n for n in written(tmp_path) if "model" in n) == [f"s_iter_{i}.caffemodel" for i in (10, 12, 5)]
    assert "Snapshotting solver state to binary proto file s_iter_12.solverstate" in caplog.messages
    count = sum("Snapshotting to binary" in m for m in caplog.messages)
    make(tmp_path, "snapshot: 6").solve()
    assert sum("Snapshotting to binary" in m for m in caplog.messages) == count + 2  # at 12 once only
    for name in written(tmp_path):
        os.remove(name)
    make(tmp_path, "snapshot_after_train: false snapshot: 7").solve()
    assert {n for n in written(tmp_path) if "model" in n} == {"s_iter_7.caffemodel"}


def test_solve_resumes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "snapshot: 6").solve()
    caplog.set_level(logging.INFO, "pycaffe_lite")
    solver = make(tmp_path, "snapshot: 6")
    iterations: list[int] = []
    solver.watch(lambda e: iterations.append(e.iter) if e.kind == "iteration" else None)
    solver.solve("s_iter_6.solverstate")
    assert iterations == [7, 8, 9, 10, 11, 12]
    wanted = [
        "Solving toy",
        "Learning Rate Policy: fixed",
        "Restoring previous solver status from s_iter_6.solverstate",
    ]
    assert [m for m in caplog.messages if m in wanted] == wanted


def test_snapshot_diff(tmp_path: Path) -> None:
    solver = make(tmp_path, "snapshot_diff: true snapshot_format: HDF5")
    solver.step(6)
    solver.snapshot()
    with h5py.File("s_iter_6.caffemodel.h5") as f:
        np.testing.assert_array_equal(f["diff/ip1/0"][...], solver.net.params["ip1"][0].diff)


def test_weights_beside_the_state_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = make(tmp_path)
    solver.step(6)
    solver.snapshot()
    (tmp_path / "moved").mkdir()
    for name in BINARY:
        os.rename(name, f"moved/{name}")
    other = make(tmp_path, seed=9)
    other.restore("moved/s_iter_6.solverstate")
    np.testing.assert_array_equal(toy.weights(other)[0], toy.weights(solver)[0])
    os.remove("moved/s_iter_6.caffemodel")
    with pytest.raises(MissingFileError, match=r"s_iter_6.caffemodel"):
        make(tmp_path).restore("moved/s_iter_6.solverstate")


def test_states_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    solver = make(tmp_path, "momentum: 0.9")
    solver.step(6)
    solver.snapshot()
    adam = make(tmp_path, 'type: "Adam"')
    before = toy.weights(adam)
    with pytest.raises(SnapshotError, match=r"has 4 history blobs, this solver has 8\. Was it written by"):
        adam.restore("s_iter_6.solverstate")
    state = read_solverstate("s_iter_6.solverstate")
    state.history[2] = np.zeros((3, 8), np.float32)
    write_solverstate("odd.solverstate", SolverState(9, state.learned_net, state.history, 0))
    with pytest.raises(SnapshotError, match=r"History blob 2 in odd.solverstate has shape \(3, 8\).*has \(3, 7\)"):
        solver.restore("odd.solverstate")
    with pytest.raises((ParseError, SnapshotError), match="s_iter_6.caffemodel"):
        adam.restore("s_iter_6.caffemodel")
    with pytest.raises(MissingFileError, match="Did you mean 's_iter_6.solverstate'"):
        adam.restore("s_iter_7.solverstate")
    assert adam.iter == 0
    assert solver.iter == 6
    np.testing.assert_array_equal(before[0], toy.weights(adam)[0])


def test_shapes_of_old_files_with_four_axes_fit(tmp_path: Path) -> None:
    solver = make(tmp_path)
    solver.step(1)
    history = [
        np.full((1,) * (4 - b.data.ndim) + b.shape, i + 1, np.float32) for i, b in enumerate(solver.net.learnable.blobs)
    ]
    write_solverstate("old.solverstate", SolverState(33, "", history, 0))
    solver.restore("old.solverstate")
    assert solver.iter == 33
    assert [float(h.max()) for h in solver._parameters.history] == [1, 2, 3, 4]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow further, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100, 4000])
def test_a_file_too_large_leaves_neither_half(size: int, tmp_path: Path) -> None:
    solver = toy.make(
        tmp_path, toy.TYPES["Adam"] + ' snapshot_prefix: "s"', net=toy.NET.replace("num_output: 7", "num_output: 70")
    )
    solver.step(5)
    solver.snapshot()
    before = {n: Path(n).read_bytes() for n in written(tmp_path)}
    assert len(before["s_iter_5.caffemodel"]) < 4000 < len(before["s_iter_5.solverstate"])
    solver.net.params["ip1"][0].data[...] = 7
    for iteration in (5, 6):  # over an older pair, and where there is none
        solver.iter = iteration
        message = rf"Cannot write .*s_iter_{iteration}\.\w+: File too"
        with files_of_at_most(size), pytest.raises(SnapshotError, match=message):
            solver.snapshot()
        assert {n: Path(n).read_bytes() for n in written(tmp_path)} == before
    solver.snapshot()
    assert written(tmp_path) == {*before, *BINARY}


@pytest.mark.parametrize("text", ["", "snapshot_format: HDF5"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_full_disk_leaves_neither_half(text: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = make(tmp_path, text)
    solver.step(6)
    real, calls = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        if at % 2:
            with pytest.raises(SnapshotError, match="No space left on device"):
                solver.snapshot()
            assert written(tmp_path) == set()
        else:
            solver.snapshot()  # only a folder's sync failed, which need not work
    solver.snapshot()
    assert written(tmp_path) == (HDF5 if text else BINARY)


@pytest.mark.skipif(os.name == "nt", reason="limits are others")
def test_a_name_that_is_too_long_is_found_before_training(tmp_path: Path) -> None:
    prefix = "s" * (255 - len("_iter_12.solverstate.resume"))
    toy.make(tmp_path, f'snapshot_prefix: "{prefix}"').solve()
    with pytest.raises(SnapshotError, match=r"File name too long .*prototxt:2:1.*Change snapshot_prefix"):
        toy.make(tmp_path, f'snapshot_prefix: "{prefix}s" snapshot: 3')


def test_the_folder_is_tried_before_training(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"There is no folder .*nowhere for snapshots \(.*prototxt:2:1\). Make"):
        toy.make(tmp_path, 'snapshot_prefix: "nowhere/s" snapshot: 3')
    solver = toy.make(tmp_path, 'snapshot_prefix: "nowhere/s"')
    with pytest.raises(SnapshotError, match="nowhere"):
        solver.solve()
    assert solver.iter == 0
    toy.make(tmp_path, 'snapshot_prefix: "nowhere/s" snapshot_after_train: false').solve()
    (tmp_path / "file").write_text("")
    with pytest.raises(SnapshotError, match="There is no folder"):
        toy.make(tmp_path, 'snapshot_prefix: "file/s" snapshot: 3')
    assert written(tmp_path) == {"file"}


def test_a_folder_that_may_not_be_written_in(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="Cannot write /proc/"):
        toy.make(tmp_path, 'snapshot_prefix: "/proc/s" snapshot: 3')


def test_a_message_has_no_name_for_snapshots(tmp_path: Path) -> None:
    toy.write(tmp_path)
    message = pb.SolverParameter(net="net.prototxt", base_lr=0.1, lr_policy="fixed", max_iter=2)
    solver = caffe.get_solver(message)
    with pytest.raises(ParameterError, match="snapshot_prefix is not given"):
        solver.solve()
    with pytest.raises(ParameterError, match="snapshot_prefix is not given"):
        solver.snapshot()


def test_hdf5_snapshots_need_h5py_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackageError, match="h5py.*to write HDF5 snapshots"):
        make(tmp_path, "snapshot: 5 snapshot_format: HDF5")
