from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.cli import train
from pycaffe_lite.schema import read_solverstate

from .conftest import NET, SOLVER, Cli


def test_trains_tests_and_snapshots(project: Path, cli: Cli) -> None:
    result = cli("train", "--solver=solver.prototxt")
    assert (result.status, result.out) == (0, "")
    assert [p.name for p in sorted(project.glob("small_*"))] == [
        f"small_iter_{n}.{end}" for n in (10, 20) for end in ("caffemodel", "solverstate", "solverstate.resume")
    ]
    for line in (
        "Solving small",
        "Iteration 0, Testing net (#0)",
        "Iteration 20, Testing net (#0)",
        "Iteration 15, lr = 0.1",
        "Snapshotting to binary proto file small_iter_10.caffemodel",
        "Optimization Done.",
    ):
        assert re.search(rf"^I.*\] {re.escape(line)}$", result.err, re.MULTILINE), line
    losses = [float(x) for x in re.findall(r"Iteration \d+ .*, loss = (\S+)", result.err)]
    assert losses[-1] < losses[0] / 2


def test_no_progress_line_in_a_pipe(project: Path, cli: Cli) -> None:
    result = cli("train", "--solver=solver.prototxt")
    assert "\r" not in result.err
    assert "\x1b" not in result.err
    assert result.err.count("] Optimization Done.\n") == 1
    assert "Done: " not in result.err.replace("Optimization Done.", "")


def test_minloglevel_silences_the_log(project: Path, cli: Cli) -> None:
    assert cli("train", "--solver=solver.prototxt", "--minloglevel=1").err == ""
    assert Path("small_iter_20.caffemodel").exists()


def weights(path: str) -> np.ndarray:
    net = caffe.Net("net.prototxt", caffe.TRAIN, weights=path)
    net.close()
    return np.concatenate([b.data.ravel() for blobs in net.params.values() for b in blobs])


def test_resumes(project: Path, cli: Cli) -> None:
    cli("train", "--solver=solver.prototxt")
    Path("solver.prototxt").write_text(SOLVER.replace("max_iter: 20", "max_iter: 30"))
    result = cli("train", "--solver=solver.prototxt", "--snapshot=small_iter_20.solverstate")
    assert result.status == 0
    assert "] Resuming from small_iter_20.solverstate\n" in result.err
    assert "Iteration 15, lr" not in result.err
    assert "Iteration 25, lr" in result.err
    assert read_solverstate("small_iter_30.solverstate").iter == 30
    assert not np.array_equal(weights("small_iter_30.caffemodel"), weights("small_iter_20.caffemodel"))


def test_begins_with_weights(project: Path, cli: Cli) -> None:
    cli("train", "--solver=solver.prototxt")
    Path("solver.prototxt").write_text(SOLVER.replace("max_iter: 20", "max_iter: 0").replace('small"', 'same"'))
    result = cli("train", "--solver=solver.prototxt", "--weights=small_iter_10.caffemodel,small_iter_20.caffemodel")
    assert result.status == 0
    for n in (10, 20):
        assert f"] Finetuning from small_iter_{n}.caffemodel\n" in result.err
    assert np.array_equal(weights("same_iter_0.caffemodel"), weights("small_iter_20.caffemodel"))


def test_level_and_stages_reach_the_training_net(project: Path, cli: Cli) -> None:
    net = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(
        net
        + """
        layer { name: "special" type: "Silence" bottom: "ip1" include { min_level: 3 stage: "extra" } }"""
    )
    assert "Setting up special" in cli("train", "--solver=solver.prototxt", "--level=3", "--stage=extra").err
    assert "Setting up special" not in cli("train", "--solver=solver.prototxt", "--level=3").err


@pytest.mark.parametrize(
    ("flags", "number", "effect"),
    [
        ((), signal.SIGINT, "stop"),
        ((), signal.SIGHUP, "snapshot"),
        (("--sigint_effect=snapshot",), signal.SIGINT, "snapshot"),
        (("--sighup_effect=stop",), signal.SIGHUP, "stop"),
        (("-sigint_effect", "none"), signal.SIGINT, "none"),
    ],
)
def test_signals(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], number: int, effect: str
) -> None:
    def raise_signal(self: object) -> None:
        if self.iter == 3:  # type: ignore[attr-defined]
            signal.raise_signal(number)

    monkeypatch.setattr(caffe.SGDSolver, "_begin_update", raise_signal)
    before = signal.getsignal(number)
    result = cli("train", "--solver=solver.prototxt", *flags)
    assert signal.getsignal(number) is before
    assert result.status == 0
    written = {int(p.stem.rpartition("_")[2]) for p in project.glob("*.caffemodel")}
    assert written == {"stop": {4}, "snapshot": {4, 10, 20}, "none": {10, 20}}[effect]
    if effect == "stop":
        assert read_solverstate("small_iter_4.solverstate").iter == 4
        assert cli("train", "--solver=solver.prototxt", "--snapshot=small_iter_4.solverstate").status == 0
        assert Path("small_iter_20.caffemodel").exists()


def test_a_second_interrupt_ends_at_once(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt_twice(self: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(caffe.SGDSolver, "_begin_update", interrupt_twice)
    assert cli("train", "--solver=solver.prototxt").status == 130
    assert not list(project.glob("small_*"))


def test_python_layers_from_the_current_folder(project: Path, program: Cli) -> None:
    Path("my_layers.py").write_text("""
import pycaffe_lite as caffe
class Halve(caffe.Layer):
    def setup(self, bottom, top): pass
    def reshape(self, bottom, top): top[0].reshape(*bottom[0].data.shape)
    def forward(self, bottom, top): top[0].data[...] = bottom[0].data / 2
    def backward(self, top, propagate_down, bottom): bottom[0].diff[...] = top[0].diff / 2
""")
    relu = 'layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }'
    half = """layer { name: "half" type: "Python" bottom: "ip1" top: "half"
                      python_param { module: "my_layers" layer: "Halve" } }"""
    head, tail = NET.split(relu)
    Path("net.prototxt").write_text(head + half + tail.replace('bottom: "ip1"', 'bottom: "half"'))
    result = program("train", "--solver=solver.prototxt", "--minloglevel=1")
    assert (result.status, result.err) == (0, "")
    assert Path("small_iter_20.caffemodel").exists()


def test_command_quotes_what_a_shell_would_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["pycaffe-lite"])
    assert train.command("train", "--solver=my nets/a.prototxt") == "pycaffe-lite train '--solver=my nets/a.prototxt'"


def test_command_names_the_program_so_that_a_shell_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "pycaffe-lite"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    monkeypatch.setenv("PATH", "")
    assert train.command("summary", "a.prototxt") == f"{program} summary a.prototxt"
    monkeypatch.setenv("PATH", str(program.parent))
    assert train.command("summary", "a.prototxt") == "pycaffe-lite summary a.prototxt"
