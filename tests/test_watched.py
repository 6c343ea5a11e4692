"""WatchedStorage: who can have written into it is known."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from pycaffe_lite.storage import Storage
from pycaffe_lite.watched import WatchedStorage
from tests.arrays import is_same

KEPT: dict[str, Callable[[np.ndarray], Any]] = {
    "the array": lambda a: a,
    "a slice": lambda a: a[1],
    "a slice of a slice": lambda a: a[1:][0][:2],
    "another shape": lambda a: a.reshape(-1),
    "transposed": lambda a: a.T,
    "other axes": lambda a: np.moveaxis(a, 0, -1),
    "a diagonal": np.diagonal,
    "another type": lambda a: a.view(np.int32),
    "a subclass": lambda a: a.view(np.recarray),
    "broadcast": lambda a: np.broadcast_to(a, (3, *a.shape)),
    "strides": lambda a: np.lib.stride_tricks.as_strided(a, (2,), (4,)),
    "the flat iterator": lambda a: a.flat,
    "a memoryview": memoryview,
    "a memoryview's slice": lambda a: memoryview(a)[1:],
    "a buffer's array": lambda a: np.frombuffer(a, np.float32),
    "asarray": lambda a: np.asarray(memoryview(a)),
    "a pointer": lambda a: a.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
    "a C array": np.ctypeslib.as_ctypes,
    "a method": lambda a: a.fill,
    "dlpack": lambda a: a.__dlpack__(),
    "dlpack's array": np.from_dlpack,
}


def blob_of(count: int = 6) -> tuple[Blob, WatchedStorage]:
    """A blob (2, 3) in the second half of a watched storage."""
    whole, blob = WatchedStorage(count=2 * count), Blob((2, 3))
    blob.data[...] = np.arange(6).reshape(2, 3)
    blob.move_to(whole.slice(count, count), Storage(count=count))
    return blob, whole


@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_whatever_is_kept_of_an_array_is_known(keep: Callable[[np.ndarray], Any]) -> None:
    blob, _ = blob_of()
    before = blob.written("data")
    assert before is not None
    assert blob.written("data") == before
    kept = keep(blob.data)
    assert blob.written("data") is None
    gc.collect()
    assert blob.written("data") is None
    del kept
    gc.collect()
    after = blob.written("data")
    assert after is not None
    assert after != before


def test_reading_as_layers_do_lends_nothing() -> None:
    blob, _ = blob_of()
    before = blob.written("data")
    array = blob.stored("data")
    np.testing.assert_array_equal(array, np.arange(6).reshape(2, 3))
    assert blob.written("data") == before
    blob.data[1, 2] = 8
    assert array[1, 2] == 8
    assert blob.stored("data") is array


def test_what_is_lent_is_one_array_while_somebody_has_it() -> None:
    blob, _ = blob_of()
    array = blob.data
    assert is_same(blob.data, array)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.ctypes.data % 4 == 0
    array[...] = 3
    del array
    np.testing.assert_array_equal(blob.data, np.full((2, 3), 3))


def test_the_whole_and_its_slices_are_one_memory() -> None:
    blob, whole = blob_of()
    other = whole.slice(0, 6)
    before = blob.written("data")
    kept = other.array()
    assert blob.written("data") == before, "numbers of another slice"
    flat = whole.array()
    assert blob.written("data") is None
    flat[6:] = 5
    del flat
    assert blob.written("data") not in (None, before)
    np.testing.assert_array_equal(blob.data, np.full((2, 3), 5))
    assert not kept.any()


def test_sharers_know_of_each_other() -> None:
    blob, _ = blob_of()
    sharer = Blob((3, 2))
    sharer.share_data(blob)
    before = blob.written("data")
    assert sharer.written("data") == before
    kept = sharer.data
    assert blob.written("data") is None
    assert blob.data.shape == (2, 3)
    del kept
    assert blob.written("data") == sharer.written("data") != before


def test_memory_that_grows_is_other_memory() -> None:
    blob, _ = blob_of()
    before, old = blob.written("data"), blob.data
    blob.reshape(4, 3)
    assert blob.written("data") not in (None, before)
    blob.reshape(2, 3)
    old[...] = 9
    assert not blob.data.any()
    assert not np.may_share_memory(blob.data, old)


def test_other_storages_are_never_known() -> None:
    assert Blob((2, 3)).written("data") is None
    blob, other = blob_of()[0], blob_of()[0]
    assert blob.written("data") != other.written("data")


def test_clear() -> None:
    blob, whole = blob_of()
    before = blob.written("data")
    whole.clear()
    assert blob.written("data") != before
    assert not blob.stored("data").any()
