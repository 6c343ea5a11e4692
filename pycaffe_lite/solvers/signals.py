"""What Ctrl-C and a lost terminal do to a training run: stop it, or have it write a snapshot."""

from __future__ import annotations

import _thread
import enum
import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger(__name__)


class Action(enum.Enum):
    """What somebody outside asks of a running solver."""

    NONE = "none"
    STOP = "stop"
    SNAPSHOT = "snapshot"


class SignalActions:
    """Within its `with` block, SIGINT and SIGHUP ask for these actions; `poll` tells a solver which::

        with SignalActions(sigint=Action.STOP, sighup=Action.SNAPSHOT) as signals:
            solver.action_source = signals.poll
            solver.solve()

    The log says that a SIGINT which is to stop the solver was heard; the next one raises KeyboardInterrupt there and
    then. Handlers are the main thread's business: in other threads the block changes nothing. The previous ones are put
    back at its end.
    """

    def __init__(self, sigint: Action = Action.STOP, sighup: Action = Action.SNAPSHOT) -> None:
        self._actions = {signal.SIGINT: sigint}
        if hasattr(signal, "SIGHUP"):  # not on Windows
            self._actions[signal.SIGHUP] = sighup
        self._pending: list[Action] = []
        self._stopping = False
        self._previous: dict[signal.Signals, Any] = {}

    def poll(self) -> Action:
        """The oldest action asked for and not yet taken, which this takes."""
        return self._pending.pop(0) if self._pending else Action.NONE

    def __enter__(self) -> SignalActions:
        if threading.current_thread() is threading.main_thread():
            for number in self._actions:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            # None: a handler that was not Python's, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        action = self._actions[signal.Signals(number)]
        if action is Action.STOP and self._stopping:
            raise KeyboardInterrupt
        if action is Action.STOP:
            self._stopping = True
            # In a thread: this one may be in the middle of a line of the log.
            _thread.start_new_thread(_say_so, ())
        if action is not Action.NONE and action not in self._pending:
            self._pending.append(action)


def _say_so() -> None:
    log.info("Stops after this iteration. Ctrl-C again: at once, without a snapshot")
