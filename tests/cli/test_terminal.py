"""Training in a terminal: the live line, Ctrl-C, a lost terminal."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from .conftest import SOLVER, Cli, Spawn

pexpect = pytest.importorskip("pexpect")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pexpect needs a Unix terminal")


def long_training() -> None:
    Path("solver.prototxt").write_text(
        SOLVER.replace("max_iter: 20", "max_iter: 1000000")
        .replace("display: 5", "display: 100000")
        .replace("test_interval: 10", "test_interval: 100000")
        .replace("snapshot: 10", "")
    )


LIVE = r"\r\x1b\[K *(\d+)/1000000 [━─]+ +\d+%  [\d.e+]+ it/s  loss \S+  lr 0\.1  [\d:]+ left"


def test_ctrl_c_stops_with_a_snapshot_to_go_on_from(spawn: Spawn) -> None:
    long_training()
    child = spawn("train", "--solver=solver.prototxt")
    child.expect(LIVE)
    child.expect(LIVE)
    child.sendintr()
    child.expect(r"Stopped at iteration (\d+), after 0:\d\d\.\r\n")
    stopped = int(child.match[1])
    child.expect("Go on with: pycaffe-lite (.*)\r\n")
    command = child.match[1].split()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert Path(f"small_iter_{stopped}.caffemodel").exists()
    assert command[2] == f"--snapshot=small_iter_{stopped}.solverstate"

    again = spawn(*command)
    again.expect(LIVE)
    assert int(again.match[1]) >= stopped


def test_sighup_snapshots_and_goes_on(spawn: Spawn) -> None:
    long_training()
    child = spawn("train", "--solver=solver.prototxt")
    child.expect(LIVE)
    os.kill(child.pid, signal.SIGHUP)
    child.expect(r"Snapshotting solver state to binary proto file (\S+)\r\n")
    state = child.match[1]
    child.expect(LIVE)
    assert Path(state).exists()


def test_the_line_never_mixes_with_the_log_and_is_gone_at_the_end(spawn: Spawn) -> None:
    child = spawn("train", "--solver=solver.prototxt")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    lines = [line.rpartition("\r\x1b[K")[2] for line in child.before.split("\r\n")]  # what stays on the screen
    assert any("\x1b[K" in line for line in child.before.split("\r\n"))
    closing = next(i for i, line in enumerate(lines) if line.startswith("Done: 20 iterations, 0:0"))
    dump = re.compile(r"[IW]\d{4} |\w+: \S+$|$")  # a record, or the solver's message, which has several lines
    assert all(dump.match(line) for line in lines[:closing])
    assert re.fullmatch(r"Test at iteration 20: accuracy \S+, loss \S+\.", lines[closing + 1])
    assert lines[closing + 2 :] == ["Weights: small_iter_20.caffemodel", ""]


def test_early_stopping_says_why_and_where_the_best_is(spawn: Spawn) -> None:
    early = 'early_stopping { monitor: "loss" patience: 1 min_delta: 99 }\n'
    Path("solver.prototxt").write_text(SOLVER + early)
    child = spawn("train", "--solver=solver.prototxt")
    child.expect(r"Stopped early at iteration 10, after 0:\d\d: loss was best, \S+, at iteration 0, and has not become")
    child.expect(r"Best weights: (\S+)\r\n")
    assert Path(child.match[1]).name == "small_best.caffemodel"
    assert Path(child.match[1]).exists()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert Path("small_iter_10.solverstate").exists()


def test_the_caffe_command_behaves_likewise(project: Path, cli: Cli, spawn: Spawn) -> None:
    long_training()
    assert cli("install-tools", "build").status == 0
    child = spawn("train", "-solver", "solver.prototxt", "-sighup_effect", "stop", program="build/tools/caffe")
    child.expect(LIVE)
    os.kill(child.pid, signal.SIGHUP)
    child.expect(r"Stopped at iteration (\d+), after 0:\d\d\.\r\n")
    state = f"small_iter_{child.match[1]}.solverstate"
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0

    again = spawn("train", "--solver=solver.prototxt", f"--snapshot={state}", program="build/tools/caffe")
    again.expect(f"Resuming from {state}")
    again.expect(LIVE)
    again.sendintr()
    again.expect("Stopped at iteration")


@pytest.fixture
def pictures(project: Path) -> int:
    """root/ with one picture, and list.txt, which names it as often as is returned."""
    image_module = pytest.importorskip("PIL.Image")
    (project / "root").mkdir()
    image_module.new("RGB", (400, 300)).save(project / "root" / "a.jpg")
    (project / "list.txt").write_text("a.jpg 1\n" * 20_000)
    return 20_000


def test_a_bar_while_converting_and_ctrl_c_leaves_nothing(project: Path, pictures: int, spawn: Spawn) -> None:
    child = spawn("convert_imageset", "--resize_width=32", "--resize_height=32", "root/", "list.txt", "db")
    child.expect(rf"\r\x1b\[K[━─]+ ([\d,]+) of {pictures:,} pictures")
    child.expect(rf"[━─]+ ([\d,]+) of {pictures:,} pictures  [\d:]+ left")
    assert list(project.glob(".db.*.part"))
    assert not (project / "db").exists(), "half of it would pass for the whole"
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert not [*project.glob(".db*"), *project.glob("db*")]
