"""Ctrl-C and a lost terminal."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pycaffe_lite.solvers import Action, Event, SignalActions, Solver
from tests.solvers import toy
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _handlers_are_put_back() -> object:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGHUP)]
    yield
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGHUP)] == before


def make(folder: Path, text: str = "") -> Solver:
    return toy.make(folder, f'{text} snapshot_prefix: "{folder}/s"')


def at(iteration: int, kind: str, *signals: signal.Signals) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if event.iter == iteration and event.kind == kind and event.done in (0, 2):
            for number in signals:
                signal.raise_signal(number)

    return watch


def models(folder: Path) -> set[str]:
    return {p.name for p in folder.glob("*.caffemodel")}


def run(solver: Solver, *effects: Action) -> None:
    with SignalActions(*effects) as signals:
        solver.action_source = signals.poll
        solver.solve()


def test_sigint_stops_with_a_snapshot(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    solver = make(tmp_path, "display: 1 test_iter: 2 test_interval: 4")
    solver.watch(at(3, "iteration", signal.SIGINT))
    run(solver)
    assert (solver.iter, solver.stopped) == (3, True)
    assert models(tmp_path) == {"s_iter_3.caffemodel"}
    assert caplog.messages[-1] == "Optimization stopped early."
    solver.action_source = lambda: Action.NONE
    solver.solve()
    assert (solver.iter, solver.stopped) == (12, False)


def test_sighup_writes_a_snapshot_and_goes_on(tmp_path: Path) -> None:
    solver = make(tmp_path)
    solver.watch(at(3, "iteration", signal.SIGHUP))
    run(solver)
    assert solver.iter == 12
    assert models(tmp_path) == {"s_iter_3.caffemodel", "s_iter_12.caffemodel"}


def test_both_during_a_test(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    solver = make(tmp_path, "test_iter: 5 test_iter: 5 test_interval: 4")
    solver.watch(at(4, "testing", signal.SIGHUP, signal.SIGINT))
    run(solver)
    assert solver.iter == 4
    assert models(tmp_path) == {"s_iter_4.caffemodel"}
    wait_until(lambda: "Stops after this iteration. Ctrl-C again: at once, without a snapshot" in caplog.messages)
    tail = [m for m in caplog.messages if not m.startswith(("Snapshotting", "Stops after"))][-3:]
    assert tail == ["Iteration 4, Testing net (#0)", "Test interrupted.", "Optimization stopped early."]


def test_effects_are_chosen(tmp_path: Path) -> None:
    solver = make(tmp_path)
    solver.watch(at(3, "iteration", signal.SIGINT, signal.SIGINT))
    solver.watch(at(5, "iteration", signal.SIGHUP))
    run(solver, Action.SNAPSHOT, Action.STOP)
    assert solver.iter == 5
    assert models(tmp_path) == {"s_iter_3.caffemodel", "s_iter_5.caffemodel"}
    ignoring = make(tmp_path)
    ignoring.watch(at(3, "iteration", signal.SIGINT, signal.SIGINT))
    run(ignoring, Action.NONE, Action.NONE)
    assert ignoring.iter == 12


def test_a_second_sigint_ends_at_once(tmp_path: Path) -> None:
    solver = make(tmp_path)
    solver.watch(at(3, "iteration", signal.SIGINT, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(solver)
    assert models(tmp_path) == set()


def test_an_interrupt_leaves_no_half_of_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = make(tmp_path)
    rename = os.replace

    def interrupted(source: Path, goal: Path) -> None:
        rename(source, goal)
        if goal.name == "s_iter_0.caffemodel":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        solver.snapshot()
    ends = {"caffemodel", "solverstate", "solverstate.resume"}
    assert {p.name.removeprefix("s_iter_0.") for p in tmp_path.glob("*s_iter_0*")} == ends


def test_without_the_block_sigint_is_pythons(tmp_path: Path) -> None:
    solver = make(tmp_path)
    solver.watch(at(3, "iteration", signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        solver.solve()
    assert solver.iter == 3


def test_other_threads_install_nothing(tmp_path: Path) -> None:
    solver = make(tmp_path)
    handler = signal.getsignal(signal.SIGINT)
    seen: list[bool] = []
    solver.watch(lambda e: seen.append(signal.getsignal(signal.SIGINT) is handler))
    thread = threading.Thread(target=run, args=(solver,))
    thread.start()
    thread.join()
    assert solver.iter == 12
    assert all(seen)


SCRIPT = """
import sys, time
from pycaffe_lite import get_solver, glog
from pycaffe_lite.solvers import SignalActions
glog.install()
solver = get_solver("solver.prototxt")
with SignalActions() as signals:
    solver.action_source = signals.poll
    solver.solve()
"""


def test_a_process_from_outside(tmp_path: Path) -> None:
    toy.write(tmp_path, 'snapshot_prefix: "s"', basis=toy.BASIS.replace("max_iter: 12", "max_iter: 100000000"))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GLOG_minloglevel": "0"},
    )
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if "Learning Rate Policy" in line:
            time.sleep(0.05)
            process.send_signal(signal.SIGHUP)
        if "Snapshotting solver state" in line and process.returncode is None:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
    assert "Optimization stopped early." in rest
    assert len(models(tmp_path)) == 2
    assert {p.name.replace("solverstate", "caffemodel") for p in tmp_path.glob("*.solverstate")} == models(tmp_path)
