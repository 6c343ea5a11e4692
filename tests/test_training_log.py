from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import pytest

from pycaffe_lite.errors import DataError, MissingFileError
from pycaffe_lite.training_log import read_log, write_tables

LOG = """\
W0103 23:59:00.000001   77 caffe.cpp:1] not training yet
I1231 23:59:58.500000   77 solver.cpp:280] Solving small
I1231 23:59:58.600000   77 solver.cpp:347] Iteration 0, Testing net (#0)
I1231 23:59:58.700000   77 solver.cpp:414]     Test net output #0: accuracy = 0.25
I1231 23:59:58.700001   77 solver.cpp:414]     Test net output #1: loss = 1.5 (* 2 = 3 loss)
I1231 23:59:58.800000   77 solver.cpp:347] Iteration 0, Testing net (#1)
I1231 23:59:58.900000   77 solver.cpp:414]     Test net output #0: accuracy = 0.5
I1231 23:59:59.000000   77 solver.cpp:239] Iteration 0 (0 iter/s, 0.5s/5 iters), loss = 3.25
I1231 23:59:59.000001   77 solver.cpp:258]     Train net output #0: loss = 1.625 (* 2 = 3.25 loss)
I1231 23:59:59.000002   77 sgd_solver.cpp:112] Iteration 0, lr = 0.1
net: "this line has no prefix: Iteration 3, lr = 77"
I0101 00:00:01.500000   77 solver.cpp:239] Iteration 5 (2 iter/s, 2.5s/5 iters), loss = nan
I0101 00:00:01.500001   77 solver.cpp:258]     Train net output #0: loss = -inf (* 2 = -inf loss)
I0101 00:00:01.500002   77 sgd_solver.cpp:112] Iteration 5, lr = 1e-05
I0101 00:00:02.000000   77 solver.cpp:347] Iteration 10, Testing net (#0)
I0101 00:00:02.100000   77 solver.cpp:414]     Test net output #0: accuracy = 0.75
I0101 00:00:02.100001   77 solver.cpp:414]     Test net output #1: loss = 7e-05 (* 2 = 0.00014 loss)
I0101 00:00:02.200000   77 solver.cpp:347] Iteration 10, Testing net (#1)
I0101 00:00:02.300000   77 solver.cpp:414]     Test net output #0: accuracy = 1
I0101 00:00:02.400000   77 solver.cpp:327] Iteration 10, loss = 0.5
"""


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.log"
    path.write_text(LOG)
    return path


def test_tables_have_a_row_for_each_time_that_outputs_were_shown(log_file: Path) -> None:
    log = read_log(log_file)
    assert log.train.rows == [
        {"NumIters": 0.0, "Seconds": pytest.approx(0.500001), "LearningRate": 0.1, "loss": 1.625},
        {"NumIters": 5.0, "Seconds": pytest.approx(3.000001), "LearningRate": 0.1, "loss": -math.inf},
    ]
    assert log.test.columns == ["NumIters", "Seconds", "LearningRate", "accuracy", "loss", "accuracy#1"]
    assert [list(row.values())[3:] for row in log.test.rows] == [[0.25, 1.5, 0.5], [0.75, 7e-05, 1.0]]
    assert [row["LearningRate"] for row in log.test.rows] == [1e-05, 1e-05]
    assert log.test.losses == {"loss"}


def test_losses_and_rates_are_points(log_file: Path) -> None:
    log = read_log(log_file)
    assert [(p.iteration, p.seconds) for p in log.loss] == [(0, 0.5), (5, 3.0), (10, 3.9)]
    assert [p.value for p in log.loss] == [3.25, pytest.approx(math.nan, nan_ok=True), 0.5]
    assert [p.value for p in log.learning_rate] == [0.1, 1e-05]


def test_a_date_of_eight_digits_and_a_leap_day(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text(
        "I20240228 23:59:59.0 1 s.cpp:1] Solving x\nI20240301 00:00:01.25 1 s.cpp:1] Iteration 3, loss = 2\n"
    )
    assert read_log(path).loss == [(3, 86402.25, 2.0)]
    path.write_text("I0228 23:59:59.0 1 s.cpp:1] Solving x\nI0229 00:00:01.0 1 s.cpp:1] Iteration 3, loss = 2\n")
    os.utime(path, (1.7e9, 1.7e9))  # in 2023
    assert read_log(path).loss == [(3, 2.0, 2.0)]


def test_a_test_that_a_resumed_run_repeats_is_a_row_of_its_own(tmp_path: Path) -> None:
    line = "I0101 00:00:00.0 1 s.cpp:1] "
    test = f"{line}Iteration 5, Testing net (#0)\n{line}    Test net output #0: accuracy = 0.5\n"
    (tmp_path / "x.log").write_text(test + test)
    assert [row["accuracy"] for row in read_log(tmp_path / "x.log").test.rows] == [0.5, 0.5]


def test_numbers_of_one_output_have_columns_of_their_own(tmp_path: Path) -> None:
    lines = [f"I0101 00:00:00.0 1 s.cpp:1]     Test net output #{i}: prob = 0.{i}\n" for i in range(3)]
    (tmp_path / "x.log").write_text("I0101 00:00:00.0 1 s.cpp:1] Iteration 5, Testing net (#0)\n" + "".join(lines))
    assert list(read_log(tmp_path / "x.log").test.rows[0].items())[3:] == [
        ("prob", 0),
        ("prob#1", 0.1),
        ("prob#2", 0.2),
    ]


def test_tables_as_csv(log_file: Path, tmp_path: Path) -> None:
    train, test = write_tables(read_log(log_file), "small.log", tmp_path, ";")
    assert train == tmp_path / "small.log.train"
    with test.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert list(rows[0]) == ["NumIters", "Seconds", "LearningRate", "accuracy", "loss", "accuracy#1"]
    assert rows[1]["NumIters"] == "10.0"
    assert rows[1]["accuracy#1"] == "1.0"


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("Iteration 5, loss = 3\n")
    with pytest.raises(DataError, match="no line of a training"):
        read_log(tmp_path / "x.log")
    with pytest.raises(MissingFileError):
        read_log(tmp_path / "y.log")


def test_caffes_own_log(shared: Path) -> None:
    log = read_log(shared / "golden" / "lenet" / "train.log")
    assert len(log.train.rows) == 100
    assert len(log.test.rows) == 21
    assert log.train.columns == ["NumIters", "Seconds", "LearningRate", "loss"]
    assert log.test.rows[20]["accuracy"] == 0.9907
    assert log.train.rows[1] == {"NumIters": 100, "Seconds": 7.471107, "LearningRate": 0.01, "loss": 0.205792}
    assert log.loss[100][::2] == (10000, 0.0033343)
