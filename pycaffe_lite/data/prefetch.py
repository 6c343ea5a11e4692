"""A thread that works ahead: it produces the next items while the present one is being used.

Caffe's data layers read and transform `prefetch` batches (4 unless told otherwise) in a thread of their own. Here that
thread rests until half of them are used: each time it starts, it takes the interpreter from those who compute.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pycaffe_lite._interrupts import uninterrupted
from pycaffe_lite.errors import DataError, ParameterError

T = TypeVar("T")

_EXIT_PATIENCE = 5.0
"""Seconds that the interpreter, on its way out, waits for an item in the making."""


class _Channel(Generic[T]):
    """What producer and consumer share: the finished items and whether anyone still wants more."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.few = depth // 2
        """So many items are left when the producer, once it has made `depth`, goes on."""
        self.changed = threading.Condition()
        self.items: deque[tuple[T, None] | tuple[None, BaseException]] = deque()
        self.stopped = False

    def put(self, item: tuple[T, None] | tuple[None, BaseException]) -> None:
        with self.changed:
            if not self.stopped:
                self.items.append(item)
                self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.items.clear()
            self.changed.notify_all()


class Prefetcher(Generic[T]):
    """Calls `produce` ahead of time, in one thread, at most `depth` items ahead; `get` returns them in that order.

    The thread starts at the first `get`, so that building a net to look at it starts none. It ends with `close`, when
    the Prefetcher is garbage collected, or when the interpreter exits. `produce` runs in the thread and must not
    share what it changes (a cursor, a generator) with other threads; nor may it reuse the arrays of the last `depth`
    + 1 items.

    Raises ParameterError when depth is below 1.
    """

    def __init__(self, produce: Callable[[], T], depth: int) -> None:
        if depth < 1:
            raise ParameterError(f"prefetch is {depth}", hint="It must be at least 1.")
        self._produce = produce
        self._channel: _Channel[T] = _Channel(depth)
        self._thread: threading.Thread | None = None
        # Collecting only stops the thread; joining there could wait for a lock that the collecting thread holds.
        weakref.finalize(self, self._channel.stop).atexit = False

    def get(self) -> T:
        """The next item; waits until there is one.

        An exception that `produce` raised comes out here, the same object, after the items before it and on every call
        from then on. Raises DataError after `close`.
        """
        channel = self._channel
        with channel.changed:
            if self._thread is None and not channel.stopped:
                with uninterrupted():  # a start that is broken off leaves a thread that cannot be joined
                    self._thread = threading.Thread(
                        target=_work, args=(weakref.ref(self), channel), name="prefetch", daemon=True
                    )
                    _running.add(self)
                    self._thread.start()
            while not channel.items and not channel.stopped:
                channel.changed.wait()
            if channel.stopped:
                raise DataError("Data were asked for after prefetching was closed")
            item, error = channel.items[0]
            if error is not None:
                raise error
            channel.items.popleft()
            if len(channel.items) <= channel.few:
                channel.changed.notify_all()
            return item  # type: ignore[return-value]

    def close(self, timeout: float | None = None) -> None:
        """Stop producing, drop what lies ready, wait for the thread (`timeout` seconds at most). May be repeated."""
        self._channel.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        _running.discard(self)


def _work(owner: weakref.ref[Prefetcher[T]], channel: _Channel[T]) -> None:
    """The thread: holds the Prefetcher (and through `produce` a layer, a net) only while it produces."""
    failed = False
    while not failed:
        with channel.changed:
            if len(channel.items) >= channel.depth:
                channel.changed.wait_for(lambda: len(channel.items) <= channel.few or channel.stopped)
        prefetcher = owner()
        if channel.stopped or prefetcher is None:
            return
        try:
            channel.put((prefetcher._produce(), None))
        except BaseException as e:
            failed = True
            channel.put((None, e))
        del prefetcher


class Begun(Generic[T]):
    """A call that a thread of its own makes from now on."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call, self._result, self._error = call, list[T](), list[BaseException]()
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        with uninterrupted():
            _running.add(self)
            self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as e:
            self._error.append(e)
        finally:
            del self._call  # and whoever is called, who may hold this

    def result(self) -> T:
        """What the call has returned, or raises what it has raised; waits for it. To be asked once."""
        self.close()
        if self._error:
            raise self._error[0]
        return self._result.pop() if self._result else self._call()  # a forked process has no such thread

    def close(self, timeout: float | None = None) -> None:
        """Wait for it (`timeout` seconds at most)."""
        self._thread.join(timeout)
        _running.discard(self)


_running: weakref.WeakSet[Prefetcher[Any] | Begun[Any]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for one in list(_running):
        one.close(_EXIT_PATIENCE)
