"""The files of `pycaffe-lite demo`: LeNet's, as models/lenet has them, made to train on the built-in digits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pycaffe_lite
from pycaffe_lite._files import atomic_write
from pycaffe_lite.errors import MissingFileError
from pycaffe_lite.schema import read_solver, write_text

NET, SOLVER, DEPLOY = "lenet_train_test.prototxt", "lenet_solver.prototxt", "lenet.prototxt"
TRAIN_IMAGES, TEST_IMAGES = 10_000, 2_000
TEST_BATCHES = 20
"""Batches of 100, LeNet's test batch size, that are all of TEST_IMAGES."""
_SOLVER_HEAD = "# models/lenet/lenet_solver.prototxt, with what `pycaffe-lite demo` sets otherwise.\n"


def model_folder(name: str) -> Path:
    """Where the files of a model that comes with pycaffe-lite are: in the package, or beside it in a checkout."""
    package = Path(pycaffe_lite.__file__).parent
    for folder in (package / "models" / name, package.parent / "models" / name):
        if folder.is_dir():
            return folder
    raise MissingFileError(f"There is no model '{name}' in {package / 'models'}", hint="Install pycaffe-lite again.")


def write_demo_files(folder: Path, databases: Sequence[Path], iterations: int, seed: int) -> None:
    """Write net, deploy net and solver into `folder`, unless they are there; `databases` are those of train and test.

    Paths in the files are absolute, so that they may be used from any folder. Raises SnapshotError where the disk
    refuses.
    """
    model = model_folder("lenet")
    net = (model / NET).read_text(encoding="utf-8")
    for name, database in zip(("mnist_train_lmdb", "mnist_test_lmdb"), databases, strict=True):
        net = net.replace(f'"{name}"', json.dumps(_absolute(database), ensure_ascii=False))
    solver, _ = read_solver(model / SOLVER)
    solver.net = _absolute(folder / NET)
    solver.max_iter = solver.snapshot = iterations
    solver.test_iter[:] = [TEST_BATCHES]
    solver.test_interval = max(1, iterations // 4)
    solver.display = max(1, iterations // 20)
    solver.snapshot_prefix = _absolute(folder / "lenet")
    solver.random_seed = seed
    _write_new(folder / NET, net)
    _write_new(folder / DEPLOY, (model / DEPLOY).read_text(encoding="utf-8"))
    _write_new(folder / SOLVER, _SOLVER_HEAD + write_text(solver))


def _absolute(path: Path) -> str:
    return path.absolute().as_posix()


def _write_new(path: Path, text: str) -> None:
    if not path.exists():
        with atomic_write(path) as part:
            part.write_text(text, encoding="utf-8")
