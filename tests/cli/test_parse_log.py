"""Our training logs, in the eyes of scripts that read Caffe's."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def log(project: Path, program: Cli) -> str:
    done = program("train", "--solver=solver.prototxt")
    assert done.status == 0
    Path("small.log").write_text(done.err)
    return done.err


def as_caffe_writes(ours: str, shared: Path) -> str:
    """The lines of our log, each with the prefix of the same kind of line in Caffe's; there must be that kind."""
    theirs = (shared / "golden" / "lenet" / "train.log").read_text().splitlines()
    prefix = {kind(line): line.split("] ", 1)[0] for line in theirs if kind(line)}
    written = []
    for line in ours.splitlines():
        if kind(line):
            assert kind(line) in prefix, line
            time = line.split()[1]
            written.append(re.sub(r"\d\d:\d\d:\d\d\.\d+", time, prefix[kind(line)]) + "] " + line.split("] ", 1)[1])
    return "\n".join(written) + "\n"


def kind(line: str) -> str:
    """What a training's line says, without its numbers and its net's names."""
    found = re.search(
        r"\] (Solving|Learning Rate Policy|Optimization Done|Iteration \d.*| +(?:Train|Test) net output .*)", line
    )
    if not found:
        return ""
    words = re.sub(r"net output #\d+: \S+ =", "net output =", found[1])
    return re.sub(r"-?\d[\d.e+-]*", "0", words)


def test_our_log_and_caffes_give_the_same_tables(log: str, shared: Path, cli: Cli) -> None:
    Path("caffe.log").write_text(as_caffe_writes(log, shared))
    for name in ("small.log", "caffe.log"):
        assert cli("parse-log", name, ".").status == 0
    for table in ("train", "test"):
        ours, theirs = (Path(f"{name}.log.{table}").read_text().splitlines() for name in ("small", "caffe"))
        assert len(ours) >= 4
        assert without_times(ours) == without_times(theirs)
    header, first, *_, last = without_times(Path("small.log.train").read_text().splitlines())
    assert header == ["NumIters", "LearningRate", "loss"]
    assert first[:2] == ["0.0", "0.1"]
    assert last[0] == "15.0"


def without_times(lines: list[str]) -> list[list[str]]:
    return [[cell for i, cell in enumerate(line.split(",")) if i != 1] for line in lines]


def test_lines_are_what_caffes_scripts_take_apart(log: str) -> None:
    """As extract_seconds.py and parse_log.py do: by blanks and fixed places, the year from elsewhere."""
    lines = log.splitlines()
    assert any("Solving" in line for line in lines)
    for line in (line for line in lines if "Iteration" in line or "Solving" in line or "net output" in line):
        date, time, _thread, where = line.split()[:4]
        clock, micro = time.rsplit(".", 1)
        datetime(2024, int(date[1:3]), int(date[3:]), *map(int, clock.split(":")), int(micro))
        assert re.fullmatch(r"\w+\.py:\d+\]", where)
    rates = [re.search(r"lr = ([-+]?[0-9]*\.?[0-9]+([eE]?[-+]?[0-9]+)?)", line) for line in lines]
    assert [r[1] for r in rates if r] == ["0.1"] * 4


def test_arguments(log: str, cli: Cli) -> None:
    Path("out").mkdir()
    done = cli("parse-log", "--verbose", "--delimiter", ";", "small.log", "out")
    assert done.out.splitlines() == ["Wrote out/small.log.train", "Wrote out/small.log.test"]
    assert Path("out/small.log.test").read_text().startswith("NumIters;Seconds;LearningRate;accuracy;loss")
    assert "one character" in cli("parse-log", "small.log", "out", "--delimiter=ab").error
    assert "no folder" in cli("parse-log", "small.log", "nowhere").error
