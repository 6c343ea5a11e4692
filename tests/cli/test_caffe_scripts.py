"""Shell scripts as Caffe's examples have them, from the files people download to a trained model.

They call ./build/tools/caffe and the other programs of Caffe's build by its paths.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.cli import main
from pycaffe_lite.data.database import BACKENDS
from pycaffe_lite.data.idx import read_idx
from pycaffe_lite.schema import read_binaryproto

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="scripts for sh")]

SCRIPTS = Path(__file__).parent / "scripts"
MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, as Caffe's root: build/, examples/ with the scripts, data/."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SCRIPTS, "examples")
    assert main(["install-tools", "build"]) == 0
    for name in ("mnist", "cifar10"):
        Path("data", name).mkdir(parents=True)
    return tmp_path


def sh(script: str, *argv: str, **variables: str) -> str:
    """Run a script; returns its output, log and all."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        ["sh", f"examples/{script}", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **variables},
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def adapt(model: str, folder: str, backend: str, **solver: object) -> None:
    """A model's net and solver to examples/, with Caffe's paths in them, the backend, and these solver settings."""
    for file in (MODELS / model).glob("*.prototxt"):
        text = file.read_text().replace("backend: LMDB", f"backend: {backend.upper()}").replace("_lmdb", f"_{backend}")
        text = re.sub(r'((?:source|mean_file|net|snapshot_prefix): ")', rf"\1examples/{folder}/", text)
        for name, value in solver.items() if "_solver" in file.name else ():
            text = re.sub(rf"^{name}: .*\n", "", text, flags=re.MULTILINE) + f"{name}: {value}\n"
        Path("examples", folder, file.name).write_text(text)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("backend", BACKENDS)
def test_mnist(shared: Path, backend: str) -> None:
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        packed = (shared / "data" / "mnist" / f"{name}-ubyte.gz").read_bytes()
        Path(f"data/mnist/{name}-ubyte").write_bytes(gzip.decompress(packed))
    adapt("lenet", "mnist", backend, max_iter=60, snapshot=60, test_iter=10, test_interval=60, random_seed=1)

    log = sh("mnist/create_mnist.sh", BACKEND=backend)
    images = [len(read_idx(f"data/mnist/{name}-labels-idx1-ubyte")) for name in ("train", "t10k")]
    assert [int(n) for n in re.findall(r"Processed (\d+) files", log)] == images
    assert "Optimization Done." in sh("mnist/train_lenet.sh", "--logtostderr", "-gpu", "0")
    log = sh("mnist/test_lenet.sh", "examples/mnist/lenet_iter_60.caffemodel")
    assert "There is no GPU engine" in log
    assert Path("examples/mnist/test.log").read_text() == log
    assert float(re.findall(r"\] accuracy = (\S+)", log)[-1]) > 0.8


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("backend", BACKENDS)
def test_cifar10(shared: Path, backend: str) -> None:
    with np.load(shared / "data" / "cifar10" / "test_first_1000.npz") as file:
        images, labels = file["images"].transpose(0, 3, 1, 2), file["labels"]
    records = np.column_stack([labels.astype(np.uint8), images.reshape(len(images), -1)])
    for i in range(5):
        records[160 * i : 160 * (i + 1)].tofile(f"data/cifar10/data_batch_{i + 1}.bin")
    records[800:].tofile("data/cifar10/test_batch.bin")
    common = {"test_iter": 2, "test_interval": 10, "display": 5, "snapshot": 20}
    adapt("cifar10_quick", "cifar10", backend, max_iter=20, **common)
    solver = Path("examples/cifar10/cifar10_quick_solver.prototxt")
    slower = solver.read_text().replace("max_iter: 20", "max_iter: 25").replace("base_lr: 0.001", "base_lr: 0.0001")
    solver.with_name("cifar10_quick_solver_lr1.prototxt").write_text(slower)

    sh("cifar10/create_cifar10.sh", DBTYPE=backend)
    mean = read_binaryproto("examples/cifar10/mean.binaryproto")
    np.testing.assert_allclose(mean[0], images[:800].astype(np.float64).mean(0), rtol=1e-6)
    log = sh("cifar10/train_quick.sh")
    assert log.count("Optimization Done.") == 2
    assert "Resuming from examples/cifar10/cifar10_quick_iter_20.solverstate" in log
    assert "Iteration 20, lr = 0.0001" in log
    assert Path("examples/cifar10/cifar10_quick_iter_25.caffemodel").exists()
