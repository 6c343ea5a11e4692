from __future__ import annotations

import signal
import threading

import pytest

from pycaffe_lite._interrupts import uninterrupted


def test_an_interrupt_comes_at_the_end() -> None:
    handler, done = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append(True)

    with pytest.raises(KeyboardInterrupt), uninterrupted():
        work()
    assert done
    assert signal.getsignal(signal.SIGINT) is handler


def test_errors_go_through_and_without_an_interrupt_there_is_none() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), uninterrupted():
        1 / 0  # noqa: B018
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_threads_change_no_handler() -> None:
    handler, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [handler]
