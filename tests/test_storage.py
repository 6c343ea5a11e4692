"""Storage: lazy, shared, sliced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pycaffe_lite import memory
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import MemoryLimitError
from pycaffe_lite.order import Order
from pycaffe_lite.storage import Storage


def test_it_allocates_at_the_first_look() -> None:
    s = Storage(np.float64, 6)
    assert (s.count, s.nbytes, s.allocated) == (6, 48, False)
    a = s.array()
    assert s.allocated
    assert a.dtype == np.float64
    np.testing.assert_array_equal(a, np.zeros(6))
    a[2] = 7
    assert s.array() is a


def test_initial_values() -> None:
    s = Storage(np.float32, 3)
    s.initial = 0.5
    np.testing.assert_array_equal(s.array(), [0.5] * 3)
    s.require(5)
    np.testing.assert_array_equal(s.array(), [0.5] * 5)


def test_growing_forgets_shrinking_keeps() -> None:
    s = Storage(np.float32, 3)
    s.array()[...] = 4
    s.require(2)
    assert s.count == 3
    np.testing.assert_array_equal(s.array(), [4, 4, 4])
    s.require(4)
    assert not s.allocated
    np.testing.assert_array_equal(s.array(), [0] * 4)


def test_clear() -> None:
    s = Storage(np.float32, 3)
    s.clear()
    assert not s.allocated
    s.array()[...] = 4
    s.clear()
    np.testing.assert_array_equal(s.array(), [0] * 3)


def test_slices_are_the_same_memory_and_as_lazy() -> None:
    whole = Storage(np.float32, 10)
    first, second = whole.slice(0, 4), whole.slice(4, 6)
    assert not first.allocated
    second.array()[...] = np.arange(6)
    assert whole.allocated
    assert first.allocated
    np.testing.assert_array_equal(whole.array(), [0, 0, 0, 0, 0, 1, 2, 3, 4, 5])
    whole.array()[3] = -1
    np.testing.assert_array_equal(first.array(), [0, 0, 0, -1])
    inner = second.slice(2, 3)
    np.testing.assert_array_equal(inner.array(), [2, 3, 4])
    assert np.shares_memory(inner.array(), whole.array())


def test_a_slice_that_grows_goes_its_own_way() -> None:
    whole = Storage(np.float32, 4)
    part = whole.slice(1, 2)
    whole.array()[...] = 3
    part.require(3)
    part.array()[...] = 8
    np.testing.assert_array_equal(whole.array(), [3] * 4)


def test_forgotten_numbers_are_zeros_until_they_are_overwritten() -> None:
    whole = Storage(np.float32, 5)
    part = whole.slice(1, 3)
    part.forget()
    assert not part.recall(), "nothing was ever there"
    whole.array()[...] = 4
    part.forget()
    np.testing.assert_array_equal(part.array(), [0] * 3)
    np.testing.assert_array_equal(whole.array(), [4, 0, 0, 0, 4])
    part.array()[...] = 7
    part.forget()
    assert part.recall()
    assert not part.recall()
    np.testing.assert_array_equal(part.array(), [7] * 3)
    part.forget()
    part.clear()
    assert not part.recall()
    assert not part.array().any()


def test_who_looks_binds_the_order_whenever_that_was() -> None:
    s = Storage(np.float32, 6)
    kept = s.array()
    s.leave_free()
    s.lay(Order.BATCH_INNERMOST, (2, 3))
    assert s.laid is not None
    s.laid[...] = [[0, 3], [1, 4], [2, 5]]
    np.testing.assert_array_equal(s.array(), range(6))
    assert not s.free
    assert s.array() is not kept, "its memory was given up"


def test_more_than_the_machine_has() -> None:
    huge = Storage(np.float32, 2**60)
    with pytest.raises(MemoryLimitError, match=r"An array needs 4096.0 PiB, this machine has .*iB"):
        huge.array()


def test_when_the_memory_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 2**62)
    with pytest.raises(MemoryLimitError, match="No memory left for an array of 1.0 PiB"):
        Storage(np.float64, 2**47).array()


def free(values: Sequence[float], order: Order) -> Storage:
    storage = Storage(np.float32, len(values))
    storage.leave_free()
    if order is not Order.PLAIN:
        storage.lay(order, (3, 2))
    (storage.plain() if storage.laid is None else storage.laid).ravel()[...] = values
    return storage


def newest(storage: Storage) -> Array:
    return storage.plain() if storage.laid is None else storage.laid


@pytest.mark.parametrize("order", [Order.PLAIN, Order.BATCH_INNERMOST])
def test_taken_numbers_are_in_one_memory_until_one_is_written(order: Order) -> None:
    first, second, third = (free(np.arange(6) + 10 * i, order) for i in range(3))
    assert second.take_numbers(first)
    assert third.take_numbers(second)
    shared = newest(first)
    assert newest(second) is shared is newest(third)
    second.lay_plain() if order is Order.PLAIN else second.lay(order, (3, 2))
    newest(second)[...] = -1
    assert newest(first) is shared is newest(third)
    kept = third.array()
    assert not np.may_share_memory(kept, shared)
    assert sorted(kept) == [0, 1, 2, 3, 4, 5]
    kept[...] = 7
    assert newest(first) is shared, "the last one has it for itself"
    assert sorted(first.array()) == [0, 1, 2, 3, 4, 5]
    assert set(newest(second).flat) == {-1}
    assert first.nbytes <= first.held <= 2 * first.nbytes


def test_numbers_that_somebody_may_hold_or_that_lie_otherwise_are_not_taken() -> None:
    plain, held, larger = (free(range(n), Order.PLAIN) for n in (6, 6, 8))
    laid = free(range(6), Order.BATCH_INNERMOST)
    held.array()
    assert not plain.take_numbers(held)
    assert not held.take_numbers(plain)
    assert not plain.take_numbers(laid)
    assert not plain.take_numbers(larger)
    assert list(plain.array()) == [0, 1, 2, 3, 4, 5]


class Halved:
    """A step that numbers may lack."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, laid: Array) -> Array:
        self.times += 1
        return laid / 2


def unfinished(halved: Halved) -> Storage:
    """0, 2, 4, ... with the channels innermost, of shape (2, 3, 4), to be halved."""
    s = Storage(np.float32, 24)
    s.leave_free()
    s.lay(Order.CHANNELS_INNERMOST, (2, 3, 4))
    s.laid[...] = np.moveaxis(2 * np.arange(24).reshape(2, 3, 4), 1, -1)  # type: ignore[index]
    assert s.leave_unfinished(halved)
    return s


@pytest.mark.parametrize("look", ["array", "plain"])
def test_a_step_is_done_once_for_who_looks(look: str) -> None:
    halved = Halved()
    s = unfinished(halved)
    assert (s.allocated, s.held, halved.times) == (True, 96, 0)
    for _ in range(2):
        np.testing.assert_array_equal(getattr(s, look)(), np.arange(24))
    assert halved.times == 1


def test_a_step_is_saved_where_numbers_are_overwritten() -> None:
    halved = Halved()
    for overwrite in (
        lambda s: s.lay(Order.CHANNELS_INNERMOST, (2, 3, 4)),
        lambda s: s.lay(Order.BATCH_INNERMOST, (2, 3, 4)),
        lambda s: s.lay_plain(),
        lambda s: s.clear(),
    ):
        s = unfinished(halved)
        overwrite(s)
        (s.plain() if s.laid is None else s.laid)[...] = 7
        np.testing.assert_array_equal(s.array(), [7] * 24)
    assert halved.times == 0


def test_the_same_memory_is_overwritten() -> None:
    s = unfinished(Halved())
    s.lay(Order.CHANNELS_INNERMOST, (2, 3, 4))
    memory = s.laid
    s.leave_unfinished(Halved())
    s.lay(Order.CHANNELS_INNERMOST, (2, 3, 4))
    assert s.laid is memory


def test_a_step_is_not_for_others_who_have_the_numbers() -> None:
    halved = Halved()
    mine, other = unfinished(halved), Storage(np.float32, 24)
    mine.lay(Order.CHANNELS_INNERMOST, (2, 3, 4))
    other.leave_free()
    other.lay(Order.CHANNELS_INNERMOST, (2, 3, 4))
    mine.laid[...] = 6  # type: ignore[index]
    assert other.take_numbers(mine)
    assert other.leave_unfinished(halved)
    np.testing.assert_array_equal(mine.array(), [6] * 24)
    np.testing.assert_array_equal(other.array(), [3] * 24)
    np.testing.assert_array_equal(mine.array(), [6] * 24)


def test_no_step_lacks_where_an_array_is_known() -> None:
    s = Storage(np.float32, 24)
    s.leave_free()
    assert not s.leave_unfinished(Halved())
    s.lay(Order.CHANNELS_INNERMOST, (2, 3, 4))
    s.array()[...] = 5
    assert not s.leave_unfinished(Halved())
    np.testing.assert_array_equal(s.array(), [5] * 24)


def test_numbers_that_count_as_an_arrays() -> None:
    whole = Storage(np.float32, 5)
    part = whole.slice(1, 3)
    kept, instead = part.array(), np.float32([1, 2, 3])
    kept[...] = 7
    part.forget(instead)
    assert kept.tolist() == [7, 7, 7], "nothing is copied before somebody asks"
    instead[2] = 4
    assert part.array() is kept
    assert whole.array().tolist() == [0, 1, 2, 4, 0]
    instead[0] = 9
    assert part.array()[0] == 1, "from then on they are the storage's own"
    part.forget(instead)
    assert not part.recall(), "they are no zeros to be overwritten"
    assert kept.tolist() == [9, 2, 4]
    part.forget(instead)
    part.forget()
    assert part.recall()
    part.forget(instead)
    part.clear()
    assert part.array().tolist() == [0, 0, 0]
