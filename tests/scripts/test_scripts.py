"""Scripts of the kind people have, written for pycaffe alone and run as they stand: `pycaffe-lite run`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from pycaffe_lite.data.digits import make_digits
from pycaffe_lite.data.mnist import write_gray_lmdb

HERE = Path(__file__).parent


def run(script: str, *arguments: str | Path) -> str:
    """What the script prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "pycaffe_lite", "run", str(HERE / script), *map(str, arguments)],
        env={**os.environ, "GLOG_minloglevel": "2", "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def number(pattern: str, text: str) -> float:
    """The number where the pattern has its group."""
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1])


def test_they_know_nothing_of_us() -> None:
    scripts = [p for p in HERE.glob("*.py") if not p.name.startswith(("test_", "__"))]
    assert len(scripts) >= 6
    for script in scripts:
        text = script.read_text()
        assert "import caffe" in text, script
        assert "pycaffe_lite" not in text, script


def test_net_surgery(tmp_path: Path) -> None:
    out = run("net_surgery.py", tmp_path)
    assert "fc6 weights are (20, 384) dimensional and biases are (20,) dimensional" in out
    assert "fc6-conv weights are (20, 6, 8, 8) dimensional and biases are (20,) dimensional" in out
    assert "map (5, 5, 7)" in out


def test_classification(shared: Path) -> None:
    out = run("classification.py", shared / "models" / "squeezenet", shared / "data" / "imagenet_sample" / "labels.csv")
    # BVLC Caffe has 19, with Pillow's averaging resize; pycaffe's does not average.
    assert number(r"right (\d+) of 26", out) >= 17
    assert number(r"in the first five (\d+)", out) >= 23
    assert number(r"with ten crops (\d) of 3", out) >= 2
    assert "conv1\t(96, 3, 7, 7) (96,)" in out
    assert "predictions (3, 1000) and (1, 1000, 1, 1)" in out


def test_the_lenet_tutorial(tmp_path: Path) -> None:
    for i, (name, n) in enumerate([("mnist_train_lmdb", 2000), ("mnist_test_lmdb", 500)]):
        write_gray_lmdb(tmp_path / name, *make_digits(n, i))
    out = run("lenet_tutorial.py", tmp_path)
    assert "('conv2', (64, 50, 8, 8))" in out
    assert "('fc1', (500, 800))" in out
    assert number(r"test accuracy .* ([\d.]+)$", out.strip()) > 0.8
    assert number(r"train loss ([\d.]+)", out) > 2 * number(r"train loss .* to ([\d.]+)", out)


def test_a_python_data_layer(tmp_path: Path) -> None:
    out = run("python_data_layer.py", tmp_path)
    assert number(r"itt:240 accuracy:([\d.]+)", out) > 0.93


def test_a_python_loss_layer(tmp_path: Path) -> None:
    out = run("python_loss_layer.py", tmp_path)
    assert out.splitlines()[-1] == "Need two inputs to compute distance."
