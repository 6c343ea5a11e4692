"""Training logs, ours or Caffe's, read back as tables of numbers.

A line counts when glog's prefix stands before it, with a date of four digits (0210) or of eight (20250210)::

    I0210 13:39:22.381027 25210 solver.cpp:204] Iteration 100, lr = 0.00992565
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pycaffe_lite._files import PathLike, atomic_write, find_file, read_bytes
from pycaffe_lite.errors import DataError

Row = dict[str, float]

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf))"
_PREFIX = re.compile(r"[IWEF](\d{4})?(\d\d)(\d\d) +(\d+):(\d+):(\d+)\.(\d+) ")
_ITERATION = re.compile(r"Iteration (\d+)")
_OUTPUT = re.compile(rf"(Train|Test) net output #(\d+): (\S+) = {_NUMBER}(?: \(\* )?")
_RATE = re.compile(rf"Iteration \d+, lr = {_NUMBER}")
_LOSS = re.compile(rf"Iteration \d+(?: \(.*\))?, loss = {_NUMBER}")
_TEST_NET = re.compile(r"Testing net \(#(\d+)\)")


class Point(NamedTuple):
    """A number that a log line gives."""

    iteration: int
    seconds: float
    """Since the line that says "Solving"."""
    value: float


@dataclass
class Table:
    """The outputs of the train net or of the test nets: a row each time that they were shown."""

    rows: list[Row] = field(default_factory=list)
    losses: set[str] = field(default_factory=set)
    """The columns that count in the loss: those shown with a weight."""
    _at: tuple[int, int, int] = (-1, 0, 0)

    @property
    def columns(self) -> list[str]:
        """All columns, in the order in which they first came."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def add(self, place: tuple[int, int, int], name: str, value: float, start: Row) -> str:
        """Put an output into the row it belongs to; `place` is (iteration, net, output). Returns its column."""
        if place[0] != self._at[0] or place <= self._at or not self.rows:
            self.rows.append(start)
        self._at = place
        row, column, count = self.rows[-1], name, 0
        while column in row:
            count += 1
            column = f"{name}#{count}"
        row[column] = value
        return column


@dataclass
class TrainingLog:
    """What a log tells. Rows have NumIters, Seconds and LearningRate, then the outputs by name.

    An output of several numbers, or one that several test nets have, takes the columns name, name#1, name#2 ...
    """

    train: Table = field(default_factory=Table)
    test: Table = field(default_factory=Table)
    loss: list[Point] = field(default_factory=list)
    """The smoothed training loss."""
    learning_rate: list[Point] = field(default_factory=list)


def read_log(path: PathLike) -> TrainingLog:
    """Read a log file. Raises MissingFileError, and DataError when it has no line of a training's.

    LearningRate is the last that was shown before the row, as in Caffe's parse_log.py: the log shows a rate after the
    outputs of its iteration. In the first row it is the second row's.

    Differences from Caffe: a last row that is short of outputs is kept, and so are nan and inf.
    """
    where = find_file(path)
    lines = read_bytes(where).decode("utf-8", "replace").splitlines()
    log = _read(lines, datetime.fromtimestamp(os.path.getmtime(where)).year)
    if not (log.train.rows or log.test.rows or log.loss):
        raise DataError(
            f"{where} has no line of a training's log",
            hint="It should have lines such as 'I0210 13:39:22.381027 25210 solver.cpp:204] Iteration 9, loss = 0.2'.",
        )
    for table in (log.train, log.test):
        if len(table.rows) > 1:
            table.rows[0]["LearningRate"] = table.rows[1]["LearningRate"]
    return log


def write_tables(log: TrainingLog, name: str, folder: PathLike, delimiter: str = ",") -> list[Path]:
    """Write the tables as CSV, FOLDER/NAME.train and FOLDER/NAME.test, those that have rows; returns their paths."""
    written = []
    for table, ending in ((log.train, "train"), (log.test, "test")):
        if table.rows:
            path = Path(folder) / f"{name}.{ending}"
            with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, table.columns, delimiter=delimiter)
                writer.writeheader()
                writer.writerows(table.rows)
            written.append(path)
    return written


def _read(lines: Iterable[str], year: int) -> TrainingLog:
    log, clock = TrainingLog(), _Clock(year)
    iteration, net, rate = -1, 0, float("nan")
    for line in lines:
        prefix = _PREFIX.match(line)
        if prefix is None:
            continue
        try:
            seconds = clock.seconds(prefix, "Solving " in line)
        except ValueError:  # no date, only like one
            continue
        if found := _ITERATION.search(line):
            iteration = int(found[1])
        if iteration < 0:
            continue
        if found := _TEST_NET.search(line):
            net = int(found[1])
        if found := _RATE.search(line):
            rate = float(found[1])
            log.learning_rate.append(Point(iteration, seconds, rate))
        elif found := _LOSS.search(line):
            log.loss.append(Point(iteration, seconds, float(found[1])))
        elif found := _OUTPUT.search(line):
            table = log.train if found[1] == "Train" else log.test
            start = {"NumIters": float(iteration), "Seconds": seconds, "LearningRate": rate}
            place = (iteration, 0 if table is log.train else net, int(found[2]))
            column = table.add(place, found[3], float(found[4]), start)
            if found[0].endswith(" (* "):
                table.losses.add(column)
    return log


class _Clock:
    """Seconds since training began, from dates that may lack the year."""

    def __init__(self, year: int) -> None:
        self._year = year
        self._start: datetime | None = None
        self._last: datetime | None = None
        self._solving = False

    def seconds(self, prefix: re.Match[str], solving: bool) -> float:
        """The prefix's time; counts from the first line, or from the first that says it is solving."""
        when = self._when(prefix)
        if self._last is not None and when.month < self._last.month and not prefix[1]:
            self._year += 1
            when = self._when(prefix)
        self._last = when
        if self._start is None or (solving and not self._solving):
            self._start, self._solving = when, solving
        return (when - self._start).total_seconds()

    def _when(self, prefix: re.Match[str]) -> datetime:
        month, day, hour, minute, second = (int(prefix[i]) for i in range(2, 7))
        if (month, day) == (2, 29) and self._year % 4 and not prefix[1]:
            self._go_back(self._year % 4)
        year = int(prefix[1]) if prefix[1] else self._year
        return datetime(year, month, day, hour, minute, second, int(prefix[7][:6].ljust(6, "0")))

    def _go_back(self, years: int) -> None:
        """Take the log to be so much older than its file, which may be a copy."""
        self._year -= years
        if self._start is not None and self._last is not None:
            self._start = self._start.replace(year=self._start.year - years)
            self._last = self._last.replace(year=self._last.year - years)
