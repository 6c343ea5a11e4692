from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import threads

Parts = list[tuple[int, int]]


@pytest.fixture(autouse=True)
def _as_many_as_before() -> Iterator[None]:
    before = threads._chosen
    yield
    threads.set_num_threads(before)


def parts_of(count: int, nbytes: int) -> Parts:
    parts: Parts = []
    threads.in_parts(lambda start, stop: parts.append((start, stop)), count, nbytes)
    return sorted(parts)


@pytest.mark.parametrize(
    ("number", "count", "nbytes", "expected"),
    [
        (1, 10, 10 * threads.LEAST, [(0, 10)]),
        (2, 10, 10 * threads.LEAST, [(0, 5), (5, 10)]),
        (3, 10, 10 * threads.LEAST, [(0, 3), (3, 6), (6, 10)]),
        (3, 2, 10 * threads.LEAST, [(0, 1), (1, 2)]),
        (3, 10, 2 * threads.LEAST, [(0, 5), (5, 10)]),
        (3, 10, 2 * threads.LEAST - 1, [(0, 10)]),
        (3, 0, 10 * threads.LEAST, [(0, 0)]),
    ],
)
def test_parts(number: int, count: int, nbytes: int, expected: Parts) -> None:
    threads.set_num_threads(number)
    assert parts_of(count, nbytes) == expected


def test_parts_run_at_once_and_the_first_where_it_was_asked_for() -> None:
    threads.set_num_threads(3)
    meeting = threading.Barrier(3, timeout=10)
    where = {}

    def part(start: int, stop: int) -> None:
        meeting.wait()
        where[start] = threading.get_ident()

    threads.in_parts(part, 3, 3 * threads.LEAST)
    assert where[0] == threading.get_ident()
    assert len(set(where.values())) == 3


@pytest.mark.parametrize("failing", [0, 2])
def test_errors_come_out_when_all_parts_have_ended(failing: int) -> None:
    threads.set_num_threads(3)
    ended = []

    def part(start: int, stop: int) -> None:
        if start == failing:
            raise ValueError(f"part {start}")
        threading.Event().wait(0.02)
        ended.append(start)

    with pytest.raises(ValueError, match=f"^part {failing}$"):
        threads.in_parts(part, 3, 3 * threads.LEAST)
    assert sorted(ended) == sorted({0, 1, 2} - {failing})
    assert parts_of(3, 3 * threads.LEAST) == [(0, 1), (1, 2), (2, 3)]


def test_an_interruption_waits_for_the_other_parts() -> None:
    threads.set_num_threads(2)
    ended = []

    def part(start: int, stop: int) -> None:
        if start == 0:
            raise KeyboardInterrupt
        threading.Event().wait(0.02)
        ended.append(start)

    with pytest.raises(KeyboardInterrupt):
        threads.in_parts(part, 2, 2 * threads.LEAST)
    assert ended == [1]


def test_a_part_has_no_parts() -> None:
    threads.set_num_threads(2)
    inner: dict[int, Parts] = {}

    def part(start: int, stop: int) -> None:
        inner[start] = parts_of(4, 4 * threads.LEAST)

    threads.in_parts(part, 2, 2 * threads.LEAST)
    assert inner[1] == [(0, 4)]  # the other one waits for the worker, which is busy for a while


def test_nobody_is_warned_of_what_nets_ignore() -> None:
    threads.set_num_threads(2)
    x = np.full(threads.LEAST, -1, np.float32)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        threads.each(np.sqrt, x, x)
    assert np.isnan(x).all()


@pytest.mark.parametrize("order", ["plain", "channels innermost", "batch innermost"])
def test_each_place_is_computed_once(order: str) -> None:
    axes = {"plain": (0, 1, 2), "channels innermost": (0, 2, 1), "batch innermost": (2, 0, 1)}[order]
    shape = (5, 200, 301)
    rng = np.random.default_rng(0)

    def laid(x: np.ndarray) -> np.ndarray:
        memory = np.ascontiguousarray(x.transpose(axes))
        return memory.transpose(np.argsort(axes))

    x, y = laid(rng.random(shape, np.float32)), laid(np.zeros(shape, np.float32))
    factor = rng.random((1, 200, 1), np.float32)
    threads.set_num_threads(3)
    calls = []

    def pass_(y: np.ndarray, x: np.ndarray, factor: np.ndarray) -> None:
        calls.append(y)
        y += x * factor

    threads.each(pass_, y, x, factor)
    assert len(calls) == 3
    assert all(part.strides == y.strides for part in calls)
    np.testing.assert_array_equal(y, x * factor)


@pytest.mark.parametrize(
    ("order", "axis"), [((0, 1, 2), 1), ((1, 2, 0), 1), ((2, 1, 0), 2)], ids=["plain", "last two", "reversed"]
)
def test_the_outermost_axis_that_is_one(order: tuple[int, ...], axis: int) -> None:
    """One item: its axis lies outermost but has nothing to share out."""
    array = np.zeros((1, 4, 6), np.float32).transpose(order).copy().transpose(np.argsort(order))
    assert threads.outermost(array) == axis


def test_set_num_threads_counts_here_too() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = max(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
    with threadpoolctl.threadpool_limits():  # puts back numpy's
        caffe.set_num_threads(3)
        assert threads.num_threads() == 3
        caffe.set_num_threads(before)
        assert threads.num_threads() == before


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "0"}, threads.cores()),
        ({"OMP_NUM_THREADS": "many"}, threads.cores()),
        ({}, threads.cores()),
    ],
)
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: int) -> None:
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert threads._default.__wrapped__() == expected


SCRIPT = """
import atexit, os, sys
import numpy as np
from pycaffe_lite import threads
threads.set_num_threads(2)
x = np.zeros((2, threads.LEAST), np.float32)
def add():
    threads.each(lambda x: np.add(x, 1, out=x), x)
atexit.register(lambda: (add(), print("at exit", x.min(), x.max(), flush=True)))
add()
if hasattr(os, "fork"):
    child = os.fork()
    if not child:
        add()
        os._exit(0 if x.min() == x.max() == 2 else 3)
    assert os.waitpid(child, 0)[1] == 0, "the child could not compute"
"""


def test_after_a_fork_and_at_exit() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("at exit 2.0 2.0\n", "")


def test_parts_have_the_same_numbers_whichever_thread_takes_them() -> None:
    for count in (4, 2, 2, 2):
        threads.set_num_threads(count)
        numbers = dict.fromkeys(range(count), -1)

        def note(start: int, stop: int, numbers: dict[int, int] = numbers) -> None:
            numbers[start] = threads.here()

        threads.in_parts(note, count, count * threads.LEAST)
        assert numbers == {part: part for part in range(count)}
