"""What becomes of errors, interrupts and closed pipes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pycaffe_lite.cli import main, time
from pycaffe_lite.errors import CaffeError

from .conftest import Cli


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(args: object) -> int:
        raise error

    monkeypatch.setattr(time, "run", run)


def test_an_expected_error_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, CaffeError("It is\nbroken", hint="Mend it."))
    result = cli("time", "--model", "m")
    assert (result.status, result.out, result.err) == (1, "", "pycaffe-lite: error: It is broken. Mend it.\n")


@pytest.mark.parametrize("argv", [("--debug", "time", "--model", "m"), ("time", "--model", "m", "-debug")])
def test_debug_shows_the_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]) -> None:
    failing(monkeypatch, CaffeError("It is broken"))
    result = cli(*argv)
    assert result.status == 1
    assert result.err.startswith("Traceback")
    assert result.err.endswith("CaffeError: It is broken\n")


def test_an_unexpected_error_is_one_line_that_says_where(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("division\nby zero"))
    result = cli("time", "--model", "m")
    assert result.status == 1
    assert result.error.startswith("ZeroDivisionError: division by zero (")
    assert "test_main.py:" in result.error
    assert result.error.endswith("Run again with --debug to see where it comes from.")
    assert len(result.err.splitlines()) == 1


def test_an_interrupt_is_status_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert cli("time", "--model", "m").status == 130


@pytest.mark.parametrize(("does", "status"), [("print('x')", 141), ("main(['--help'])", 0)])
def test_a_closed_pipe_is_quiet(does: str, status: int) -> None:
    code = f"""
import sys
from pycaffe_lite.cli import main, time
sys.stdin.read()
def run(args):
    {does}
    return 0
time.run = run
sys.exit(main(["time", "--model", "m"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # the reader is gone before anything is written
    process.stdin.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() in (status, 141)  # argparse itself may notice, and says nothing


def test_a_call_leaves_the_path_alone(cli: Cli) -> None:
    before = list(sys.path)
    cli("--version")
    assert sys.path == before


def test_the_program_finds_modules_in_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["pycaffe-lite", "--version"])
    assert main() == 0
    assert sys.path[0] == str(tmp_path)
