"""Early stopping: which score is looked at, when training ends, what is kept of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.solvers import Solver
from tests.solvers import toy

SCORES = """layer { name: "score" type: "Python" bottom: "data" top: "score" include { phase: TEST }
  python_param { module: "tests.solvers.test_early_stopping" layer: "Score" } }"""
TESTS = 'test_iter: 2 test_interval: 3 snapshot_prefix: "s" '


class Score(caffe.Layer):
    """Python layer: puts out the score that a test wants, batch after batch."""

    def setup(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        self.scores: list[float] = []

    def reshape(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        top[0].reshape()

    def forward(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        top[0].data[...] = self.scores.pop(0)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(folder: Path, fields: str, scores: Sequence[float] = (), text: str = TESTS, **kwargs: Any) -> Solver:
    """A solver each of whose tests, of two batches, has the next of these scores as its mean."""
    solver = toy.make(
        folder,
        f"{text} max_iter: 60 early_stopping {{ {fields} }}",
        net=toy.NET + SCORES,
        basis=toy.BASIS.replace("max_iter: 12", ""),
        **kwargs,
    )
    solver.test_nets[-1].layer_dict["score"].scores = [s + d for s in scores for d in (-0.25, 0.25)]
    return solver


@pytest.mark.parametrize(
    ("fields", "scores", "iteration", "best"),
    [
        ("patience: 1", [5, 4, 4], 6, (4, 3)),
        ("patience: 2", [5, 4, 4.5, 3, 3.5, 7], 15, (3, 9)),
        ("patience: 2 min_delta: 1", [5, 4, 3, 2.5, 3], 12, (3, 6)),
        ('patience: 2 mode: "max"', [5, 4, 6, 5, 6], 12, (6, 6)),
        ('patience: 1 mode: "max" min_delta: 0.5', [5, 5.75, 6.25], 6, (5.75, 3)),
        ("patience: 2", [math.nan, math.nan], 3, (None, -1)),
        ("patience: 3", [math.nan, 7, math.nan, 6, math.inf, math.nan, 6], 18, (6, 9)),
    ],
)
def test_when_it_stops(
    fields: str, scores: list[float], iteration: int, best: tuple[float | None, int], tmp_path: Path
) -> None:
    solver = make(tmp_path, f'monitor: "score" {fields}', scores)
    solver.solve()
    assert solver.stopped
    assert solver.iter == iteration
    assert (solver.early_stopping.best, solver.early_stopping.best_iter) == best


def test_what_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    solver = make(tmp_path, 'monitor: "score" patience: 2', [5, 4, 6, 4.5], TESTS + 'type: "Adam" momentum: 0.9 ')
    weights: dict[int, list[np.ndarray]] = {}
    solver.add_callback(lambda: weights.setdefault(solver.iter, toy.weights(solver)), None)
    solver.solve()
    wanted = [
        "Early stopping: Iteration 0, score = 5 is the best so far",
        "Early stopping: Iteration 3, score = 4 is the best so far",
        "Early stopping: Iteration 9, score was best, 4, at iteration 3, and has not become better in 2 tests",
        "Optimization stopped early.",
    ]
    assert [m for m in caplog.messages if m in wanted or m.startswith("Early")] == wanted
    ends = ("caffemodel", "solverstate", "solverstate.resume")
    assert sorted(p.name for p in tmp_path.glob("s_*")) == sorted(
        f"s_{n}.{e}" for n in ("best", "iter_9") for e in ends
    )

    best = make(tmp_path, 'monitor: "score" patience: 2', [6, 4.5])
    best.net.copy_from("s_best.caffemodel")
    for mine, kept in zip(toy.weights(best), weights[3], strict=True):
        np.testing.assert_array_equal(mine, kept)


def test_going_on_counts_on(tmp_path: Path) -> None:
    scores = [5, 4, 6, 3, 7, 8, 9]
    fields = 'monitor: "score" patience: 3'
    whole = make(tmp_path, fields, scores, TESTS + "snapshot: 15")
    whole.solve()
    assert whole.iter == 18
    after_test = make(tmp_path, fields, scores[4:])  # the best one, written after its test
    after_test.solve("s_best.solverstate")
    assert (after_test.iter, after_test.early_stopping.best_iter) == (18, 9)
    before_test = make(tmp_path, fields, scores[5:])  # written before the test at 15
    before_test.solve("s_iter_15.solverstate")
    assert (before_test.iter, before_test.early_stopping.best_iter) == (18, 9)
    other = make(tmp_path, 'monitor: "score" patience: 3 mode: "max"', [3, 2, 1, 0])
    other.solve("s_iter_15.solverstate")
    assert (other.iter, other.early_stopping.best) == (24, 3)


def test_training_may_go_on_after_all(tmp_path: Path) -> None:
    solver = make(tmp_path, 'monitor: "score" patience: 1', [5, 6, 4, 3, 7])
    solver.step(20)
    assert solver.iter == 3
    solver.step(20)  # the test at 3 is made again, as in Caffe
    assert solver.iter == 9


def test_the_last_test_counts(tmp_path: Path) -> None:
    solver = make(tmp_path, 'monitor: "score" patience: 1', [5, 4, 3])
    solver.param.max_iter = 6
    solver.solve()
    assert not solver.stopped
    assert solver.early_stopping.best == 3
    assert (tmp_path / "s_best.caffemodel").exists()


def test_of_several_test_nets(tmp_path: Path) -> None:
    text = 'test_iter: 1 test_iter: 2 test_interval: 3 snapshot_prefix: "s" test_state { level: 1 } test_state {}'
    solver = make(tmp_path, 'monitor: "score" patience: 1 test_net: 1', [5, 4, 6], text)
    solver.test_nets[0].layer_dict["score"].scores = [0, 1, 2]
    solver.solve()
    assert (solver.iter, solver.early_stopping.best) == (6, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TESTS + '\nearly_stopping { monitor: "scroe" patience: 1 }',
            "no output 'scroe'.*:3:18\\). Did you mean 'score'",
        ),
        (
            TESTS + "\nearly_stopping { patience: 1 }",
            "no output ''.*:3:1\\). Its outputs are accuracy, copy, loss, score",
        ),
        (TESTS + '\nearly_stopping { monitor: "score" }', "patience is 0, it must be at least 1"),
        (TESTS + '\nearly_stopping { monitor: "score" patience: 1 min_delta: -1 }', "min_delta is -1.*:3:47"),
        (TESTS + '\nearly_stopping { monitor: "score" patience: 1 mode: "best" }', 'must be "min" or "max".*:3:47'),
        (TESTS + '\nearly_stopping { monitor: "score" patience: 1 test_net: 1 }', "#1, there are 1 test nets.*:3:47"),
        (TESTS + '\nearly_stopping { monitor: "copy" patience: 1 }', r"'copy' has shape \(6,\), to monitor takes one"),
        (
            'snapshot_prefix: "s"\nearly_stopping { monitor: "score" patience: 1 }',
            "#0, there are 0 test nets.*:3:1.*Give test_iter",
        ),
        (TESTS.replace('"s"', '"no/s"') + '\nearly_stopping { monitor: "score" patience: 1 }', "There is no folder"),
    ],
)
def test_refused(text: str, message: str, tmp_path: Path) -> None:
    copy = 'layer { name: "copy" type: "Power" bottom: "label" top: "copy" include { phase: TEST } }'
    with pytest.raises(caffe.CaffeError, match=message):
        toy.make(tmp_path, text, net=toy.NET + SCORES + copy)


def test_without_a_prefix(tmp_path: Path) -> None:
    path = toy.write(tmp_path, TESTS + 'early_stopping { monitor: "loss" patience: 1 }')
    message, _ = caffe.schema.read_solver(path)
    message.ClearField("snapshot_prefix")
    with pytest.raises(ParameterError, match="snapshot_prefix is not given"):
        caffe.get_solver(message)
