from __future__ import annotations

import gc
import itertools
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

from pycaffe_lite.data.prefetch import Prefetcher
from pycaffe_lite.errors import DataError, ParameterError
from tests.waiting import wait_until


def prefetch_threads() -> int:
    return sum(t.name == "prefetch" for t in threading.enumerate())


@pytest.fixture(autouse=True)
def _no_thread_stays() -> object:
    before = prefetch_threads()
    yield
    gc.collect()
    wait_until(lambda: prefetch_threads() == before)


def test_an_interrupt_while_the_thread_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Thread(threading.Thread):
        def start(self) -> None:
            signal.raise_signal(signal.SIGINT)
            super().start()

    monkeypatch.setattr(threading, "Thread", Thread)
    p = Prefetcher(itertools.count().__next__, 2)
    with pytest.raises(KeyboardInterrupt):
        p.get()
    p.close()  # a thread that was never started could not be joined


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_order(depth: int) -> None:
    p = Prefetcher(itertools.count().__next__, depth)
    assert [p.get() for _ in range(200)] == list(range(200))
    p.close()


def test_no_thread_before_the_first_get_and_depth_is_the_limit() -> None:
    made: list[int] = []

    def produce() -> int:
        made.append(len(made))
        return made[-1]

    p = Prefetcher(produce, 5)
    time.sleep(0.02)
    assert made == []
    assert prefetch_threads() == 0
    for taken in range(1, 12):
        p.get()
        wait_until(
            lambda taken=taken: len(made) >= max(5, taken + 3)
        )  # all at first, then it rests until half are used
        time.sleep(0.005)
        assert len(made) - taken <= 5
    p.close()
    assert prefetch_threads() == 0


def test_exceptions_come_out_unchanged_after_the_items_before() -> None:
    error = ValueError("row 2")
    items = iter([0, 1])

    def produce() -> int:
        for item in items:
            return item
        raise error

    p = Prefetcher(produce, 4)
    assert [p.get(), p.get()] == [0, 1]
    for _ in range(2):
        with pytest.raises(ValueError, match="row 2") as caught:
            p.get()
        assert caught.value is error
    p.close()


def test_close_ends_a_waiting_get_and_may_be_repeated() -> None:
    go = threading.Event()
    p = Prefetcher(lambda: go.wait(5), 1)
    closer = threading.Timer(0.05, lambda: (p.close(0), go.set()))
    closer.start()
    with pytest.raises(DataError, match="closed"):
        p.get()
    closer.join()
    p.close()
    p.close()
    with pytest.raises(DataError, match="closed"):
        p.get()


def test_close_before_the_first_get() -> None:
    p = Prefetcher(lambda: 1, 1)
    p.close()
    with pytest.raises(DataError, match="closed"):
        p.get()
    assert prefetch_threads() == 0


def test_the_thread_keeps_nobody_alive() -> None:
    class Layer:
        """Owns a prefetcher that calls its own method, as data layers do."""

        def __init__(self) -> None:
            self.prefetcher = Prefetcher(self.batch, 2)

        def batch(self) -> list[int]:
            return [1, 2]

    layer = Layer()
    assert layer.prefetcher.get() == [1, 2]
    gone = weakref.ref(layer)
    del layer

    def collected() -> bool:
        gc.collect()
        return gone() is None and prefetch_threads() == 0

    wait_until(collected)


def test_depth_is_checked() -> None:
    with pytest.raises(ParameterError, match="prefetch is 0"):
        Prefetcher(lambda: 1, 0)


@pytest.mark.parametrize("busy", ["itertools.count().__next__", "lambda: time.sleep(0.05)", "lambda: bytes(1 << 20)"])
def test_the_interpreter_exits_while_it_runs(busy: str) -> None:
    code = (
        "import itertools, time; from pycaffe_lite.data.prefetch import Prefetcher\n"
        f"p = Prefetcher({busy}, 3); p.get(); print('out')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "")
