from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.cli import _watch
from pycaffe_lite.cli._watch import Progress, Record
from pycaffe_lite.solvers import Event


class Line:
    """Stands in for a LiveLine 79 columns wide that is always due."""

    enabled = True
    columns = 79

    def __init__(self) -> None:
        self.shown: list[str] = []

    def due(self) -> bool:
        return True

    def show(self, text: str) -> None:
        self.shown.append(text)


class Solver:
    iter = 100

    class param:
        max_iter = 800


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, to be set."""
    clock = [1000.0]
    monkeypatch.setattr(_watch.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(_watch, "bar", lambda share, width: f"[{share:.2f} of {width}]")
    return clock


def progress(line: Line) -> Any:
    return Progress(line, Solver())  # type: ignore[arg-type]


def test_speed_loss_rate_and_time_left(now: list[float]) -> None:
    line = Line()
    watch = progress(line)
    now[0] += 4
    watch(Event("iteration", 300, 0.123456, 0.00987654))
    assert line.shown == ["300/800 [0.38 of 22]  38%  50 it/s  loss 0.123  lr 0.00988  0:10 left"]


def test_the_speed_is_of_the_last_seconds_and_without_tests(now: list[float]) -> None:
    line = Line()
    watch = progress(line)
    now[0] += 10
    watch(Event("iteration", 110, 1, 1))
    now[0] += 2
    watch(Event("testing", 110, 1, 1, "0", 0, 4))
    now[0] += 88
    watch(Event("tested", 110, 1, 1, "0", 4, 4))
    watch(Event("iteration", 200, 1, 1))
    now[0] += 2
    watch(Event("iteration", 400, 1, 1))
    assert line.shown[1] == "110/800 [0.00 of 24] testing: batch 0 of 4"
    assert " 72.5 it/s " in line.shown[-1]  # 290 in 4 s
    assert line.shown[-1].endswith(" 2:16 left")  # 400 at 300 in 102 s


def test_the_test_at_the_beginning_does_not_count(now: list[float]) -> None:
    line = Line()
    watch = progress(line)
    watch(Event("testing", 100, 1, 1, "0", 0, 4))
    now[0] += 500
    watch(Event("tested", 100, 1, 1, "0", 4, 4))
    watch(Event("iteration", 101, 1, 1))
    now[0] += 2
    watch(Event("iteration", 200, 1, 1))
    assert line.shown[-1].endswith(" 0:12 left")


def test_the_iteration_after_a_test_or_snapshot_is_no_part_of_it(now: list[float]) -> None:
    line = Line()
    watch = progress(line)
    watch(Event("testing", 100, 1, 1, "0", 0, 4))
    now[0] += 50
    watch(Event("tested", 100, 1, 1, "0", 4, 4))
    now[0] += 2
    watch(Event("iteration", 101, 1, 1))
    watch(Event("snapshotting", 101, 1, 1, "a.caffemodel"))
    now[0] += 30
    watch(Event("snapshot", 101, 1, 1, "a.caffemodel"))
    now[0] += 2
    watch(Event("iteration", 102, 1, 1))
    assert line.shown[1].endswith(" 0.5 it/s  loss 1  lr 1  23:18 left")  # 699 at 1 in 2 s
    assert " 0.5 it/s " in line.shown[-1]


def test_the_bar_makes_room_in_a_narrow_terminal(now: list[float]) -> None:
    line = Line()
    watch = progress(line)
    now[0] += 4
    for line.columns in (62, 61, 20):
        watch(Event("iteration", 300, 0.123456, 0.00987654))
    assert line.shown[0].startswith("300/800 [0.38 of 5]  38%  ")
    assert line.shown[1] == line.shown[2] == "300/800  50 it/s  loss 0.123  lr 0.00988  0:10 left"


def test_snapshots_are_shown(now: list[float]) -> None:
    line = Line()
    progress(line)(Event("snapshotting", 100, 1, 1, "a_iter_100.caffemodel"))
    assert line.shown == ["100/800 writing a_iter_100.caffemodel"]


def test_scores_are_those_that_the_solver_logs(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    solver = caffe.get_solver("solver.prototxt")
    seen: list[tuple[int, dict[str, float]]] = []
    record = Record(solver, lambda r: seen.append((r.tested_at, r.scores)))
    solver.watch(record)
    with caplog.at_level("INFO", "pycaffe_lite"):
        solver.solve()
    for net in (solver.net, *solver.test_nets):
        net.close()
    logged = [line.partition(": ")[2] for line in caplog.messages if line.startswith("    Test net output")]
    assert [at for at, _ in seen] == [0, 10, 20]
    for i, (_, scores) in enumerate(seen):
        assert logged[2 * i] == f"accuracy = {scores['accuracy']:g}"
        assert logged[2 * i + 1].startswith(f"loss = {scores['loss']:g} ")
    assert record.scores == seen[-1][1]
    assert (record.weights, record.state) == ("small_iter_20.caffemodel", "small_iter_20.solverstate")
