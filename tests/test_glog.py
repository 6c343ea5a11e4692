from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import pycaffe_lite as caffe
from pycaffe_lite import glog
from pycaffe_lite.errors import CaffeError

log = logging.getLogger("pycaffe_lite.some.module")
LINE = re.compile(r"([IWEF])(\d{4}) (\d\d:\d\d:\d\d\.\d{6}) ( *\d+) test_glog\.py:(\d+)\] (.*)\n")


@pytest.fixture(autouse=True)
def _quiet_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("GLOG_minloglevel", raising=False)
    monkeypatch.delenv("GLOG_log_dir", raising=False)
    yield
    glog.uninstall()


def test_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    glog.install()
    log.info("Iteration %d, lr = %g", 100, 0.01)
    m = LINE.fullmatch(capsys.readouterr().err)
    assert m is not None
    assert m[1] == "I"
    assert int(m[4]) == threading.get_native_id()
    assert len(m[4]) >= 5
    assert m[6] == "Iteration 100, lr = 0.01"


def test_caffes_own_tools_read_the_time() -> None:
    record = log.makeRecord(log.name, logging.INFO, "/x/solver.py", 204, "Solving %s", ("LeNet",), None)
    record.created = 1455111562.381027
    head, clock, _, _ = glog.GlogFormatter().format(record).split(maxsplit=3)
    assert re.fullmatch(r"I02(09|10|11)", head)
    assert re.fullmatch(r"\d\d:\d9:22\.381027", clock)


@pytest.mark.parametrize(("level", "letters"), [(0, "IIWEF"), (1, "WEF"), (2, "EF"), (3, "F"), (9, "F")])
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_levels(
    level: int, letters: str, how: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "environment":
        monkeypatch.setenv("GLOG_minloglevel", str(level))
    glog.install(level if how == "argument" else None)
    log.debug("never")
    for number in (logging.INFO, logging.INFO + 5, logging.WARNING, logging.ERROR, logging.CRITICAL):
        log.log(number, "x")
    assert "".join(line[0] for line in capsys.readouterr().err.splitlines()) == letters


def test_nonsense_in_the_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "loud")
    glog.install()
    log.info("x")
    assert capsys.readouterr().err.startswith("I")


def test_twice_is_once_and_off_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    glog.install(2)
    glog.install(0)
    log.info("x")
    assert capsys.readouterr().err.count("\n") == 1
    glog.uninstall()
    log.error("y")
    assert capsys.readouterr().err == ""


def test_it_follows_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    glog.install()
    log.info("one")
    other = io.StringIO()
    monkeypatch.setattr(sys, "stderr", other)
    log.info("two")
    monkeypatch.undo()
    assert "one" in (first := capsys.readouterr().err)
    assert "two" not in first
    assert "two" in other.getvalue()


def test_exceptions_and_many_lines(capsys: pytest.CaptureFixture[str]) -> None:
    glog.install()
    log.info("a\nb")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("c")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "b"
    assert lines[2].endswith("] c")
    assert lines[-1] == "ValueError: no"


@pytest.mark.parametrize(
    ("level", "said"), [("", "There is no GPU engine: computing on the CPU\nloud\n"), ("2", "loud\n"), ("9", "")]
)
def test_only_warnings_until_somebody_asks(level: str, said: str) -> None:
    code = """import pycaffe_lite, logging
pycaffe_lite.log("quiet")
pycaffe_lite.set_mode_gpu()
logging.getLogger("pycaffe_lite.x").error("loud")"""
    variables = {**os.environ, "GLOG_minloglevel": level}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables)
    assert (done.stdout, done.stderr) == ("", said)


def test_pycaffes_init_log_and_log(capsys: pytest.CaptureFixture[str]) -> None:
    caffe.log("before")
    caffe.init_log()
    caffe.log("100 % mine")
    caffe.init_log(1)
    caffe.log("an info")
    caffe.init_log(0, False)
    caffe.log("another")
    logging.getLogger("pycaffe_lite").error("an error")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("] ")[2] for line in lines] == ["100 % mine", "an error"]
    assert lines[0].startswith("I")
    assert "test_glog.py:" in lines[0]


def test_into_a_file_as_glog_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "caffe.INFO").write_text("of another time")
    glog.install(log_dir=str(tmp_path))
    glog.install(1)
    glog.install(0)
    log.info("one")
    log.warning("zwei 卵")
    glog.uninstall()
    log.warning("three")
    err = capsys.readouterr().err
    [file] = [p for p in tmp_path.iterdir() if p.name != "caffe.INFO"]
    assert re.fullmatch(rf"caffe\..*\.log\.INFO\.\d{{8}}-\d{{6}}\.{os.getpid()}", file.name)
    assert file.read_text(encoding="utf-8") == err
    assert [line.rpartition("] ")[2] for line in err.splitlines()] == ["one", "zwei 卵"]
    if sys.platform != "win32":
        assert (tmp_path / "caffe.INFO").resolve() == file.resolve()


def test_the_folder_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOG_log_dir", str(tmp_path))
    glog.install()
    assert list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="Make the folder of --log_dir first"):
        glog.install(log_dir=str(tmp_path / "none"))


def test_a_log_that_cannot_be_written_is_told_of_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = glog.LogFile(tmp_path / "log")
    log.stream.close()
    log.stream = open(os.devnull)  # noqa: SIM115  to be written into, in vain
    record = logging.LogRecord("pycaffe_lite", logging.INFO, "f.py", 1, "text", (), None)
    glog.install()
    for _ in range(3):
        log.emit(record)
    log.close()
    assert capsys.readouterr().err.count("cannot be written: not writable") == 1
