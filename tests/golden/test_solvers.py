"""Solvers take the steps that Caffe's take, write the snapshots it writes, and resume from both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import (
    SolverState,
    parse_text,
    read_caffemodel,
    read_solverstate,
    read_solverstate_hdf5,
    read_weights_hdf5,
)
from tests.golden.compare import FOLDER, Arrays, assert_close, grouped

STEPS, HALF = 12, 6
RUNS = sorted((FOLDER / "solvers").glob("*.npz"), key=lambda p: int(p.stem.split("_")[1]))


def solver_in(folder: Path, solver: str, net: str, x: np.ndarray, y: np.ndarray) -> caffe.SGDSolver:
    """A solver whose files lie in the current folder and whose data layer reads x and y in order."""
    with h5py.File(folder / "data.h5", "w") as file:
        file["data"] = x.reshape(-1, *x.shape[2:])
        file["label"] = y.reshape(-1)
    (folder / "list.txt").write_text("data.h5\n")
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(
        f'{solver}\nnet: "net.prototxt"\nsnapshot_prefix: "snap"\nsolver_mode: CPU\nsnapshot_after_train: false\n'
    )
    return caffe.get_solver("solver.prototxt")


def steps(solver: caffe.SGDSolver, count: int) -> list[float]:
    losses = []
    for _ in range(count):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
    return losses


def weights(solver: caffe.SGDSolver) -> Arrays:
    return {f"{name}/{j}": b.data.copy() for name, blobs in solver.net.params.items() for j, b in enumerate(blobs)}


def read_state(path: Path) -> SolverState:
    return read_solverstate_hdf5(path) if path.suffix == ".h5" else read_solverstate(path)


def blob_sizes(path: Path) -> dict[str, list[int]]:
    """Layer name -> sizes of the blobs that a file of weights has for it."""
    in_hdf5 = path.suffix == ".h5"
    layers = read_weights_hdf5(path) if in_hdf5 else {w.name: list(w.blobs) for w in read_caffemodel(path)}
    return {name: [b.size for b in blobs if b is not None] for name, blobs in layers.items() if blobs}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with np.load(path) as file:
        run = dict(file)
    meta = json.loads(str(run["meta"]))
    batches = len(run["x"]) // STEPS
    ours, caffes = tmp_path / "ours", tmp_path / "caffes"
    for folder in (ours, caffes):
        folder.mkdir()
    for name, data in grouped(run, "file").items():
        (caffes / name).write_bytes(data.tobytes())

    monkeypatch.chdir(ours)
    solver = solver_in(ours, meta["solver"], meta["net"], run["x"], run["y"])
    for key, value in grouped(run, "start").items():
        name, j = key.rsplit("/", 1)
        solver.net.params[name][int(j)].data[...] = value
    losses = steps(solver, HALF)
    assert_close(weights(solver), grouped(run, "half"), 2e-4, at_least=1)
    solver.snapshot()
    losses += steps(solver, STEPS - HALF)
    assert_close(weights(solver), grouped(run, "end"), 2e-4, at_least=1)
    np.testing.assert_allclose(losses, run["losses"], rtol=1e-3, atol=1e-4)

    names = [p.name for p in caffes.iterdir()]
    assert set(names) <= {p.name for p in ours.iterdir()}
    state_name = next(n for n in names if "solverstate" in n)
    assert_same_state(read_state(ours / state_name), read_state(caffes / state_name))
    weights_name = next(n for n in names if "caffemodel" in n)
    assert blob_sizes(ours / weights_name) == blob_sizes(caffes / weights_name)

    for folder in (ours, caffes):
        monkeypatch.chdir(folder)
        resumed = solver_in(folder, meta["solver"], meta["net"], run["x"][HALF * batches :], run["y"][HALF * batches :])
        resumed.restore(state_name)
        losses = steps(resumed, STEPS - HALF)
        assert_close(weights(resumed), grouped(run, "end"), 2e-4, at_least=1)
        np.testing.assert_allclose(losses, run["losses"][HALF:], rtol=1e-3, atol=1e-4)


def assert_same_state(got: SolverState, want: SolverState) -> None:
    assert (got.iter, got.current_step) == (want.iter, want.current_step)
    got_history = {str(k): np.asarray(h, np.float32).ravel() for k, h in enumerate(got.history)}
    want_history = {str(k): np.asarray(h).ravel() for k, h in enumerate(want.history)}
    assert len(got_history) == len(want_history)
    assert_close(got_history, want_history, 2e-4, at_least=1)


def test_the_runs_here_turn_everything() -> None:
    """The third that is copied into the repository still has every solver, policy and option."""
    params = []
    for path in RUNS:
        with np.load(path) as file:
            meta = json.loads(str(file["meta"]))
        params.append(parse_text(meta["solver"], pb.SolverParameter)[0])
    assert {p.type for p in params} == {"SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"}
    assert {p.lr_policy for p in params} == {"fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid"}
    for name in ("regularization_type", "iter_size", "clip_gradients", "snapshot_format"):
        assert {p.HasField(name) for p in params} == {True, False}, name


def test_the_reference_check_agrees(shared: Path) -> None:
    """All 42 runs, by the check that comes with the reference data."""
    done = subprocess.run(
        [sys.executable, shared / "golden" / "check_solvers.py", shared / "golden" / "solvers", "-v"],
        env={**os.environ, "CAFFE_MODULE": "pycaffe_lite"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "42/42 solver runs agree" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
