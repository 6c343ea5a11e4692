"""Buffer: one memory for several, never one that somebody still looks at."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.buffer import Buffer
from pycaffe_lite.errors import MemoryReusedError
from pycaffe_lite.memory import CACHE_LINE
from pycaffe_lite.order import Order
from pycaffe_lite.storage import Storage


def test_it_hands_out_the_same_memory_again() -> None:
    buffer = Buffer(40)
    assert buffer.held == 0
    first = buffer.take(10, np.float32)
    place = first.ctypes.data
    assert (first.shape, first.dtype, buffer.held) == ((10,), np.float32, 40)
    assert place % CACHE_LINE == 0
    del first
    second = buffer.take(3, np.float64)
    assert (second.shape, second.dtype, second.ctypes.data) == ((3,), np.float64, place)


def test_it_grows_and_stays_large() -> None:
    buffer = Buffer()
    buffer.take(2, np.float32)
    assert buffer.held == 8
    buffer.take(5, np.float32)
    buffer.take(1, np.float32)
    assert (buffer.held, buffer.size) == (20, 20)


@pytest.mark.parametrize("look", [np.asarray, lambda a: a.reshape(2, 5).T[1:], memoryview, np.ctypeslib.as_ctypes])
def test_memory_that_somebody_looks_at_is_left_to_him(look) -> None:  # type: ignore[no-untyped-def]
    buffer = Buffer()
    first = buffer.take(10, np.float32)
    first[...] = 7
    held = look(first)
    del first
    buffer.take(10, np.float32)[...] = 1
    np.testing.assert_array_equal(np.asarray(held), np.full_like(np.asarray(held), 7))
    del held
    again = buffer.take(10, np.float32)
    np.testing.assert_array_equal(again, [1] * 10)


def test_memory_given_away_stays_with_those_who_have_it() -> None:
    buffer = Buffer(8)
    first = buffer.take(2, np.float32)
    first[...] = 7
    buffer.give_away()
    assert buffer.held == 0
    buffer.take(2, np.float32)[...] = 1
    np.testing.assert_array_equal(first, [7, 7])


def test_users_who_wait_use_their_arrays_again_while_nobody_holds_the_memory() -> None:
    buffer = Buffer(8)
    mine = [buffer.take(2, np.float32)]
    mine.append(mine[0].reshape(2, 1))
    buffer.wait(mine[0], 2)
    his = buffer.take(1, np.float32)
    assert his.ctypes.data == mine[0].ctypes.data
    buffer.wait(his, 1)
    assert buffer.resume(mine[0], 2)
    buffer.wait(mine[0], 2)

    assert buffer.resume(his, 1)
    held = his.view(np.int32)
    held[...] = 7
    buffer.wait(his, 1)
    assert not buffer.resume(mine[0], 2)
    assert buffer.held == 0
    buffer.take(2, np.float32)[...] = 1
    np.testing.assert_array_equal(held, [7])
    assert not buffer.resume(his, 1), "of memory that there was before"

    old = buffer.take(2, np.float32)
    buffer.take(3, np.float32)
    buffer.wait(old, 1)
    assert not buffer.resume(old, 1)
    del old
    buffer.take(3, np.float32)


def test_a_storage_that_has_lost_its_memory_says_so() -> None:
    s = Storage(np.float32, 6)
    s.buffer = Buffer()
    s.array()[...] = 4
    s.lose("The memory of blob 'x' is gone")
    assert not s.allocated
    for look in (s.array, s.plain):
        with pytest.raises(MemoryReusedError, match=r"^The memory of blob 'x' is gone\. Ask for the blob by forward\("):
            look()
    s.regain(same=False)
    assert s.array().shape == (6,)


@pytest.mark.parametrize("order", [Order.PLAIN, Order.CHANNELS_INNERMOST])
def test_a_storage_keeps_its_memory_for_its_next_turn_if_nobody_else_was_given_it(order: Order) -> None:
    s = Storage(np.float32, 12)
    s.buffer, s.free = Buffer(), True

    def write() -> np.ndarray:
        if order is Order.PLAIN:
            s.lay_plain()
            return s.plain()
        s.lay(order, (1, 3, 2, 2))
        assert s.laid is not None
        return s.laid

    first = write()
    assert s.lose("gone") is first
    s.regain(same=True)
    assert write() is first
    s.lose("gone")
    s.regain(same=False)
    assert write() is not first
    s.lose("gone")
    s.require(20)
    s.regain(same=True)
    assert not s.allocated
    s.array()
    assert s.lose("gone") is None


def test_storages_in_one_buffer_one_after_the_other_in_any_order() -> None:
    buffer = Buffer()
    first, second = Storage(np.float32, 12), Storage(np.float32, 12)
    for s in (first, second):
        s.buffer, s.free = buffer, True
    first.lay(Order.CHANNELS_INNERMOST, (1, 3, 2, 2))
    assert first.laid is not None
    place = first.laid.ctypes.data
    first.laid[...] = np.arange(12).reshape(1, 4, 3)
    np.testing.assert_array_equal(first.array(), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11])
    first.lose("gone")
    second.lay(Order.BATCH_INNERMOST, (4, 3))
    assert second.laid is not None
    assert second.laid.ctypes.data != place, "put in order it lay elsewhere"
    place = second.laid.ctypes.data
    second.lay(Order.CHANNELS_INNERMOST, (1, 3, 2, 2))
    assert second.laid.ctypes.data == place
