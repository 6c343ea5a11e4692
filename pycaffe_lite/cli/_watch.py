"""What the command line makes of a solver's events: a live line, the test scores, the last snapshot."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from pycaffe_lite.cli._live import LiveLine, bar, clock
from pycaffe_lite.solvers import Event, Solver

_WINDOW = 5.0
"""Seconds over which the speed is averaged."""
_BAR = 24


class Progress:
    """Watches a solver and keeps a live line: iterations, speed, smoothed loss, learning rate, time left."""

    def __init__(self, line: LiveLine, solver: Solver) -> None:
        self._line = line
        self._solver = solver
        self._first = solver.iter, time.monotonic()
        self._recent = deque([self._first])
        self._pause = 0.0  # when a test or snapshot began; 0 while training

    def __call__(self, event: Event) -> None:
        if event.kind == "iteration":
            self._training(event)
        elif event.kind == "testing":
            self._pause = self._pause or time.monotonic()
            if event.done == 0 or self._line.due():
                share = bar(event.done / event.total, _BAR)
                self._line.show(f"{self._counter(event)} {share} testing: batch {event.done} of {event.total}")
        elif event.kind == "snapshotting":
            self._pause = self._pause or time.monotonic()
            self._line.show(f"{self._counter(event)} writing {event.what}")
        elif event.kind in ("tested", "snapshot") and self._pause:
            # The speed is that of training alone; the time left counts tests and snapshots in.
            pause = time.monotonic() - self._pause
            self._recent = deque((i, t + pause) for i, t in self._recent)
            if event.iter == self._first[0]:  # but the test at the beginning comes once
                self._first = self._first[0], self._first[1] + pause
            self._pause = 0.0

    def _training(self, event: Event) -> None:
        if not self._line.due():
            return
        now = time.monotonic()
        self._recent.append((event.iter, now))
        while len(self._recent) > 2 and self._recent[0][1] < now - _WINDOW:
            self._recent.popleft()
        speed = _rate(self._recent[0], self._recent[-1])
        overall = _rate(self._first, self._recent[-1])
        left = max(self._solver.param.max_iter - event.iter, 0)
        parts = [f"{speed:.3g} it/s", f"loss {event.loss:.3g}", f"lr {event.lr:.3g}"]
        parts += [f"{clock(left / overall)} left"] if overall else []
        self._line.show(self._with_bar(event, "  ".join(parts)))

    def _counter(self, event: Event) -> str:
        total = str(self._solver.param.max_iter)
        return f"{event.iter:>{len(total)}}/{total}"

    def _with_bar(self, event: Event, text: str) -> str:
        counter = self._counter(event)
        share = event.iter / max(self._solver.param.max_iter, 1)
        room = self._line.columns - len(counter) - len(text) - 8  # the blanks between, and the share
        middle = f" {bar(share, min(room, _BAR))} {share:4.0%}" if room >= 5 else ""
        return f"{counter}{middle}  {text}"


class Record:
    """Watches a solver and remembers what came out: the last test's mean scores and the last snapshot.

    `tested` is called after each test of the first test net. Outputs of one number only count as scores.
    """

    def __init__(self, solver: Solver, tested: Callable[[Record], object] | None = None) -> None:
        self._solver = solver
        self._tested = tested
        self.scores: dict[str, float] = {}
        self.tested_at = -1
        self.weights = ""

    @property
    def state(self) -> str:
        """The solver state that belongs to the last snapshot's weights."""
        stem, _, end = self.weights.rpartition(".caffemodel")
        return f"{stem}.solverstate{end}"

    def __call__(self, event: Event) -> None:
        if event.kind == "snapshot":
            self.weights = event.what
        elif event.kind == "tested" and event.what == "0":
            self.scores = {name: float(mean.item()) for name, mean in event.outputs.items() if mean.size == 1}
            self.tested_at = event.iter
            if self._tested is not None:
                self._tested(self)


def _rate(first: tuple[int, float], last: tuple[int, float]) -> float:
    return (last[0] - first[0]) / ((last[1] - first[1]) or 1)
