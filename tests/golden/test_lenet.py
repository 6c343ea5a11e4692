"""LeNet trains on MNIST as Caffe trained it, loss after loss, and tests as it did."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.data.mnist import convert_mnist
from tests.golden.compare import FOLDER

MODEL = Path(__file__).parents[2] / "models" / "lenet"
ITERATIONS = 500


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/lenet with MNIST beside it."""
    folder = tmp_path_factory.mktemp("lenet")
    for file in MODEL.glob("*.prototxt"):
        shutil.copy(file, folder)
    mnist = shared / "data" / "mnist"
    for ours, theirs in (("train", "train"), ("test", "t10k")):
        convert_mnist(
            mnist / f"{theirs}-images-idx3-ubyte.gz",
            mnist / f"{theirs}-labels-idx1-ubyte.gz",
            folder / f"mnist_{ours}_lmdb",
        )
    return folder


@pytest.mark.usefixtures("engine")
@pytest.mark.slow
def test_trajectory(shared: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with np.load(FOLDER / "lenet_trajectory.npz") as file:
        golden = dict(file)
    solver = caffe.get_solver("lenet_solver.prototxt")
    solver.net.copy_from(shared / "golden" / "lenet" / "lenet_init.caffemodel")
    losses = []
    for _ in range(ITERATIONS):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
    difference = np.abs(np.array(losses) - golden["loss"])
    # Training is chaotic: weights moved by their last bit drift from Caffe's losses by 1e-6, 2e-3 and 9e-3 as well.
    assert difference[:10].max() < 1e-5
    assert difference[:100].max() < 1e-2
    assert difference.max() < 3e-2
    assert abs(np.mean(losses) - golden["loss"].mean()) < 1e-3

    tested = []
    for _ in range(100):
        outputs = solver.test_nets[0].forward()
        tested.append([float(outputs["accuracy"]), float(outputs["loss"])])
    accuracy, loss = np.mean(tested, axis=0)
    assert accuracy == pytest.approx(float(golden["accuracy_after_500"]), abs=3e-3)
    assert loss == pytest.approx(float(golden["test_loss_after_500"]), abs=1e-2)
