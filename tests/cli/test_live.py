from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

import pytest

from pycaffe_lite.cli import _live
from pycaffe_lite.cli._live import LiveLine, bar, clock


class Terminal(io.StringIO):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    def isatty(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def screen(self) -> list[str]:
        """What a terminal shows: erasures carried out."""
        return [line.rpartition("\r\x1b[K")[2] for line in self.getvalue().split("\n")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Call it, in the test since pytest sets the streams before that, for a terminal of 40 columns in their place."""

    def install() -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    return install


def test_redrawn_in_place_and_gone_at_the_end(terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    with LiveLine() as line:
        line.show("one")
        assert shown.screen() == ["one"]
        line.show("two")
        assert shown.screen() == ["two"]
    assert shown.screen() == [""]


def test_the_width_is_that_of_the_terminal_drawn_on(
    terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = terminal()
    shown.fileno = lambda: 77  # type: ignore[method-assign]
    sizes = {77: os.terminal_size((10, 24))}
    monkeypatch.setattr(os, "get_terminal_size", sizes.__getitem__)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with LiveLine() as line:
        line.show("0123456789")
        assert shown.screen() == ["012345678"]


def test_what_is_printed_stands_above(terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    with LiveLine() as line:
        line.show("42 %")
        sys.stderr.write("log\n")
        print("printed", "in parts")
        assert shown.screen() == ["log", "printed in parts", "42 %"]
    print("after")
    assert shown.screen() == ["log", "printed in parts", "after", ""]


def test_an_unfinished_line_is_not_erased(terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    with LiveLine() as line:
        line.show("1 %")
        print("begun", end="")
        line.show("2 %")
        assert shown.screen() == ["begun"]
        print(" and done")
        assert shown.screen() == ["begun and done", "2 %"]


def test_cut_to_the_width_so_that_it_never_wraps(terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    with LiveLine() as line:
        line.show("x" * 50)
        assert shown.screen() == ["x" * 39]


def test_streams_are_put_back_after_an_error(terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    line = LiveLine()
    with pytest.raises(ZeroDivisionError), line:
        raise ZeroDivisionError(line.show("1 %"))
    assert sys.stderr is shown
    assert sys.stdout is shown
    assert shown.screen() == [""]


def test_nothing_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with LiveLine() as line:
        assert not line.due()
        line.show("1 %")
        sys.stderr.write("log\n")
    assert pipe.getvalue() == "log\n"


def test_nothing_on_a_dumb_terminal(terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    shown = terminal()
    with LiveLine() as line:
        line.show("1 %")
    assert shown.getvalue() == ""


def test_due_now_and_then(terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal()
    now = 100.0
    monkeypatch.setattr(_live.time, "monotonic", lambda: now)
    with LiveLine() as line:
        assert line.due()
        line.show("1 %")
        assert not line.due()
        now += 0.11
        assert line.due()


def test_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert bar(0.25, 8) == "━━──────"
    assert bar(1.5, 3) == "━━━"
    monkeypatch.setattr(sys, "stderr", Terminal("ascii"))
    assert bar(0.25, 8) == "##------"


@pytest.mark.parametrize(("seconds", "text"), [(7.6, "0:08"), (750, "12:30"), (11220, "3:07:00"), (59.7, "1:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
