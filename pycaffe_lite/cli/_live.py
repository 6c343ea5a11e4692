"""A line at the bottom of a terminal, redrawn in place while whatever is printed scrolls by above it."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TextIO

from pycaffe_lite._typing import OnProgress

_ERASE = "\r\x1b[K"
_PAUSE = 0.1
"""Seconds between two redrawings."""


class LiveLine:
    """Within its `with` block, `show(text)` draws the line, on stderr and only if that is a terminal.

    sys.stdout and sys.stderr are replaced meanwhile, by streams that print above the line.
    """

    def __init__(self) -> None:
        self._out = sys.stderr
        self.enabled = _is_terminal(self._out)
        self._text = ""
        self._drawn = False
        self._line_open = False  # something was printed above, without a line's end so far
        self._next = 0.0
        self._lock = threading.RLock()

    def __enter__(self) -> LiveLine:
        self._saved = sys.stdout, sys.stderr
        if self.enabled:
            sys.stderr = _Above(self._out, self)
            if _is_terminal(sys.stdout):
                sys.stdout = _Above(sys.stdout, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout, sys.stderr = self._saved
        with self._lock:
            self._text = ""
            self._erase()

    def due(self) -> bool:
        """Whether it is time to draw again: saves making a text that would not be shown."""
        return self.enabled and time.monotonic() >= self._next

    def show(self, text: str) -> None:
        """Draw this text in place of the last, cut to the terminal's width."""
        if not self.enabled:
            return
        with self._lock:
            self._text = text
            self._next = time.monotonic() + _PAUSE
            self._draw()

    @property
    def columns(self) -> int:
        """How many characters fit on the line."""
        width = 0
        with suppress(OSError, ValueError):  # the standard library asks stdout, which may be a file
            width = os.get_terminal_size(self._out.fileno()).columns
        return (width or shutil.get_terminal_size().columns) - 1

    def print_above(self, stream: TextIO, text: str) -> int:
        """Write to the terminal as if the line were not there."""
        with self._lock:
            self._erase()
            count = stream.write(text)
            stream.flush()
            if text:
                self._line_open = not text.endswith("\n")
            self._draw()
        return count

    def _draw(self) -> None:
        if self._text and not self._line_open:
            self._write(_ERASE + self._text[: self.columns])
            self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._write(_ERASE)
            self._drawn = False

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal is gone: what it showed goes on
            self._out.write(text)
            self._out.flush()


class _Above:
    """A stream to the terminal on which a LiveLine is drawn."""

    def __init__(self, stream: TextIO, line: LiveLine) -> None:
        self._stream = stream
        self._line = line

    def write(self, text: str) -> int:
        return self._line.print_above(self._stream, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def progress_bar(what: str) -> Iterator[OnProgress]:
    """Yields a function of (done, total) that draws a bar on a LiveLine: so many of so many `what`."""
    begun = time.monotonic()
    with LiveLine() as line:

        def show(done: int, total: int) -> None:
            if line.due():
                seconds = time.monotonic() - begun
                left = f"  {clock(seconds * (total - done) / done)} left" if done and seconds > 1 else ""
                line.show(f"{bar(done / max(total, 1), 30)} {done:,} of {total:,} {what}{left}")

        yield show


def bar(share: float, width: int) -> str:
    """A bar of `width` characters, `share` of it filled."""
    full, empty = ("━", "─") if _can_print("━─") else ("#", "-")
    filled = round(min(max(share, 0.0), 1.0) * width)
    return full * filled + empty * (width - filled)


def clock(seconds: float) -> str:
    """'0:08', '12:30', '3:07:00'."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
