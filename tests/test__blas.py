from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from pycaffe_lite import _blas, threads


@pytest.fixture
def numbers() -> Iterator[list[int]]:
    """How many threads each library has; first all have two."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        yield [c.num_threads for c in threadpoolctl.ThreadpoolController().lib_controllers if c.user_api == "blas"]


def now() -> set[int]:
    return {library.get_num_threads() for library in _blas._libraries()}


def test_one_thread_for_as_long_as_anybody_wants_it(numbers: list[int]) -> None:
    assert _blas.obeys() == bool(numbers)
    before = now()
    first, second = _blas.one_thread(), _blas.one_thread()
    first.__enter__()
    second.__enter__()
    assert now() <= {1}
    first.__exit__(None, None, None)
    assert now() <= {1}
    second.__exit__(None, None, None)
    assert now() == before <= {2}


def test_parts_that_multiply_matrices(numbers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_chosen", 2)
    seen = []
    threads.in_parts(lambda start, stop: seen.append((start, now())), 2, 2 * threads.LEAST, products=True)
    assert sorted(seen) == [(0, {1}), (1, {1})]
    assert now() == {2}


def test_where_it_cannot_be_limited_its_own_threads_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    _blas._libraries.cache_clear()
    try:
        assert not _blas.obeys()
        monkeypatch.setattr(threads, "_chosen", 2)
        seen = []
        threads.in_parts(lambda *part: seen.append(part), 2, 2 * threads.LEAST, products=True)
        assert seen == [(0, 2)]
    finally:
        _blas._libraries.cache_clear()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_forked_meanwhile_has_all_threads_again(numbers: list[int]) -> None:
    """As a user's thread may do while another one computes."""
    found, tell = os.pipe()
    with _blas.one_thread():
        child = os.fork()
        if child == 0:
            os.write(tell, bytes(now()))
            os._exit(0)
        os.waitpid(child, 0)
    os.close(tell)
    with open(found, "rb") as answer:
        assert set(answer.read()) == {2 for _ in numbers}
