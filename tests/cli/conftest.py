"""A small network to train from the command line, and the command line itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import glog
from pycaffe_lite.cli import main
from pycaffe_lite.data.mnist import write_gray_images

NET = """name: "small"
layer {
  name: "images" type: "Data" top: "data" top: "label"
  transform_param { scale: 0.00390625 }
  data_param { source: "images_lmdb" batch_size: 7 backend: LMDB }
}
layer {
  name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  inner_product_param { num_output: 11 weight_filler { type: "xavier" } }
}
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer {
  name: "a_long_layer_name" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } }
}
layer {
  name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy"
  include { phase: TEST }
}
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" loss_weight: 2 }
"""

SOLVER = """net: "net.prototxt"
test_iter: 3
test_interval: 10
base_lr: 0.1
momentum: 0.9
lr_policy: "fixed"
display: 5
max_iter: 20
snapshot: 10
snapshot_prefix: "small"
random_seed: 1
"""


@dataclass
class Result:
    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error line, which is the last, without the program's name."""
        last = self.err.splitlines()[-1]
        assert last.startswith("pycaffe-lite: error: "), self.err
        return last.removeprefix("pycaffe-lite: error: ")


_RECORD = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ (\w+\.py):\d+\] (.*)")


def messages(err: str, file: str) -> list[str]:
    """What one of our files has logged, without glog's prefix."""
    records = map(_RECORD.fullmatch, err.splitlines())
    return [r[2] for r in records if r is not None and r[1] == file]


Cli = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: net.prototxt, solver.prototxt, and images_lmdb: 40 images of 5x4 that show their label."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.arange(40) % 3)
    images = rng.integers(0, 100, (40, 5, 4)).astype(np.uint8)
    images[np.arange(40), labels, :] += 150
    monkeypatch.chdir(tmp_path)
    write_gray_images("images_lmdb", images, labels)
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)
    return tmp_path


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    yield
    glog.uninstall()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command in this process."""

    def run(*argv: str) -> Result:
        capsys.readouterr()
        status = main(argv)
        return Result(status, *capsys.readouterr())

    return run


@pytest.fixture
def program() -> Cli:
    """Runs a command as users do: in a process of its own."""

    def run(*argv: str, **options: object) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "pycaffe_lite", *argv],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            **options,
        )  # type: ignore[call-overload]
        return Result(done.returncode, done.stdout, done.stderr)

    return run


Spawn = Callable[..., Any]


@pytest.fixture
def spawn(project: Path) -> Iterator[Spawn]:
    """Starts the program, or another that is given, in a terminal of 80 columns."""
    pexpect = pytest.importorskip("pexpect")
    children = []

    def start(*argv: str, program: str = "") -> Any:
        path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": path, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
        env.pop("COLUMNS", None)
        command = [program] if program else [sys.executable, "-m", "pycaffe_lite"]
        child = pexpect.spawn(
            command[0], [*command[1:], *argv], env=env, timeout=30, encoding="utf-8", dimensions=(24, 80)
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)
