"""A pool of threads that works through a sequence in order, such as pictures to decode: Pillow lets go of the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pycaffe_lite.threads import cores

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Results that may lie ready, for each thread."""


def in_threads(function: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Generator[R, None, None]:
    """`function` of each item, in the items' order, computed in `threads` threads (default: a thread per core).

    Only a few items are taken ahead of those whose results were asked for. What `function` raises comes out in its
    item's place; nothing is begun after that, nor after the generator was closed.
    """
    count = threads or cores()
    with ThreadPoolExecutor(count, thread_name_prefix="pool") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > _AHEAD * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
