from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pycaffe_lite.data.pool import in_threads


def test_results_come_in_order_whoever_is_first() -> None:
    def work(i: int) -> int:
        time.sleep(0.01 * (i % 3 == 0))
        return i * i

    assert list(in_threads(work, range(40), 4)) == [i * i for i in range(40)]


def test_several_threads_work_at_once() -> None:
    meeting = threading.Barrier(3, timeout=10)
    assert sorted(in_threads(lambda i: meeting.wait(), range(3), 3)) == [0, 1, 2]


def test_only_a_few_items_are_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    results = in_threads(lambda i: i, items(), 2)
    assert next(results) == 0
    assert len(taken) < 20
    results.close()
    assert len(taken) < 20


def test_an_error_comes_in_its_items_place() -> None:
    results = in_threads(lambda i: 6 // (2 - i), range(4), 2)
    assert next(results) == 3
    assert next(results) == 6
    with pytest.raises(ZeroDivisionError):
        next(results)
