"""Timer: pycaffe's stop watch."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)


class Timer:
    """Measures the time between `start` and `stop`."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._seconds: float | None = None

    def start(self) -> None:
        """Start; a timer that runs goes on."""
        if self._started is None:
            self._started = time.perf_counter()

    def stop(self) -> None:
        """Stop; a timer that does not run stays as it is."""
        if self._started is not None:
            self._seconds = time.perf_counter() - self._started
            self._started = None

    @property
    def ms(self) -> float:
        """The milliseconds that were measured last; stops a timer that runs. 0 if it was never started."""
        self.stop()
        if self._seconds is None:
            log.warning("Timer has never been run before reading time.")
            return 0.0
        return 1000 * self._seconds
