"""Blob: shapes, lazy and shared memory, pycaffe's names."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from pycaffe_lite import Blob
from pycaffe_lite.blob import Side
from pycaffe_lite.errors import AssignmentError, CaffeError, ShapeError
from pycaffe_lite.storage import Storage
from pycaffe_lite.watched import WatchedStorage
from tests.arrays import is_same
from tests.graph.nets import inputs, ip
from tests.layers.nets import net_of


def test_a_new_blob_is_zero_and_holds_nothing() -> None:
    blob = Blob((2, 3, 5))
    assert (blob.shape, blob.count, blob.nbytes, blob.dtype) == ((2, 3, 5), 30, 120, np.float32)
    assert not blob._data.allocated
    assert not blob._diff.allocated
    assert not blob.has_diff
    np.testing.assert_array_equal(blob.data, np.zeros((2, 3, 5)))
    assert not blob._diff.allocated
    blob.diff[0] = 1
    assert blob.has_diff
    assert blob.diff.sum() == 15


def test_writing_counts_and_arrays_are_plain() -> None:
    blob = Blob((2, 3), np.float64)
    blob.data[1, 2] = 5
    blob.data[...] += 1
    np.testing.assert_array_equal(blob.data, [[1, 1, 1], [1, 1, 6]])
    assert type(blob.data) is np.ndarray
    assert blob.data.flags.c_contiguous
    assert blob.data.dtype == np.float64
    assert is_same(blob.data, blob.data)


@pytest.mark.parametrize("what", ["data", "diff"])
@pytest.mark.parametrize("watched", [False, True])
def test_what_is_done_to_an_array_is_not_done_to_the_blob(what: Side, watched: bool) -> None:
    blob = Blob((2, 3))
    if watched:
        blob.move_to(WatchedStorage(np.float32, 6), Storage(np.float32, 6))
    blob.get(what)[...] = np.arange(6).reshape(2, 3)
    changes: dict[str, object] = {"shape": (6,), "dtype": np.dtype(np.int32), "strides": (4, 8)}
    for name, value in changes.items():
        array = blob.get(what)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # numpy's, from 2.5 on
            setattr(array, name, value)
        for seen in (blob.get(what), blob.stored(what)):
            np.testing.assert_array_equal(seen, np.arange(6, dtype=np.float32).reshape(2, 3), strict=True)
    blob.get(what).flags.writeable = False
    assert blob.get(what).flags.writeable


def test_its_own_array_may_come_back_and_no_other() -> None:
    blob = Blob((2, 3))
    blob.data += 2
    blob.diff -= 1
    assert (blob.data.sum(), blob.diff.sum()) == (12, -6)
    for other in (blob.diff, blob.data.reshape(3, 2), blob.data[:1], blob.data.copy(), 3.0):
        with pytest.raises(AssignmentError, match=r"A blob's data cannot be replaced\. Write into it"):
            blob.data = other  # type: ignore[assignment]


@pytest.mark.parametrize("dims", [(4, 5), ((4, 5),), ([4, 5],), (np.array([4, 5]),), (np.int64(4), np.int32(5))])
def test_reshape_takes_numbers_or_a_sequence(dims: tuple[int, ...]) -> None:
    blob = Blob((1,))
    blob.reshape(*dims)
    assert blob.shape == (4, 5)
    assert all(type(d) is int for d in blob.shape)


def test_reshape_to_nothing_and_to_one_number() -> None:
    blob = Blob((3, 2))
    blob.reshape()
    assert (blob.shape, blob.count, blob.data.shape) == ((), 1, ())
    blob.reshape(0, 4)
    assert (blob.shape, blob.count, blob.data.shape) == ((0, 4), 0, (0, 4))
    blob.reshape(())
    assert blob.shape == ()


@pytest.mark.parametrize("dims", [(-1, 2), (2.5, 2), (2.0,), ("ab",), ("4", "5"), (None,), ((2, 3), 4)])
def test_impossible_shapes(dims: tuple[int, ...]) -> None:
    blob = Blob((2, 3))
    with pytest.raises(ShapeError, match="A blob cannot have the shape"):
        blob.reshape(*dims)
    assert blob.shape == (2, 3)


def test_at_most_32_axes() -> None:
    Blob((1,) * 32)
    with pytest.raises(ShapeError, match="at most 32 axes, not 33"):
        Blob((1,) * 33)


def test_numbers_stay_while_there_is_room() -> None:
    blob = Blob((2, 6))
    blob.data[...] = np.arange(12).reshape(2, 6)
    blob.reshape(3, 4)
    np.testing.assert_array_equal(blob.data, np.arange(12).reshape(3, 4))
    blob.reshape(2, 2)
    np.testing.assert_array_equal(blob.data, [[0, 1], [2, 3]])
    blob.reshape(12)
    np.testing.assert_array_equal(blob.data, np.arange(12))
    blob.reshape(13)
    np.testing.assert_array_equal(blob.data, np.zeros(13))


def test_old_views_stay_alive_and_belong_to_the_blob_while_it_does_not_grow() -> None:
    blob = Blob((2, 3))
    old = blob.data
    blob.reshape(6)
    blob.data[4] = 9
    assert old[1, 1] == 9
    blob.reshape(7)
    blob.data[...] = 1
    np.testing.assert_array_equal(old, [[0, 0, 0], [0, 9, 0]])
    data = Blob((1000,)).data
    data[...] = 3  # its blob is gone
    assert data.sum() == 3000


def test_sharing_data_and_diff() -> None:
    a, b = Blob((2, 3)), Blob((6,))
    b.share_data(a)
    a.data[1, 0] = 4
    assert b.data[3] == 4
    assert not np.shares_memory(a.diff, b.diff)
    a.share_diff(b)
    b.diff[5] = 2
    assert a.diff[1, 2] == 2
    assert b.shape == (6,)


def test_sharers_notice_when_the_memory_grows() -> None:
    a, b = Blob((2, 3)), Blob((6,))
    b.share_data(a)
    b.data[...] = 1
    a.reshape(4, 5)
    assert a.data.shape == (4, 5)
    assert b.data.shape == (6,)
    assert np.shares_memory(a.data, b.data)
    a.data[0, 1] = 8
    assert b.data[1] == 8


def test_sharing_needs_equal_counts() -> None:
    with pytest.raises(ShapeError, match=r"Blobs of shapes \(2, 3\) and \(5,\) cannot share memory"):
        Blob((2, 3)).share_data(Blob((5,)))
    with pytest.raises(ShapeError, match="cannot share memory"):
        Blob((2, 3)).share_diff(Blob((5,)))


def test_a_loss_weight_fills_the_diff_and_outlasts_reshapes() -> None:
    blob = Blob((2,))
    blob.set_loss_weight(0.25)
    assert blob.has_diff
    assert not blob._diff.allocated
    np.testing.assert_array_equal(blob.diff, [0.25, 0.25])
    blob.reshape(3)
    np.testing.assert_array_equal(blob.diff, [0.25] * 3)
    blob.set_loss_weight(4)
    np.testing.assert_array_equal(blob.diff, [4] * 3)


def test_a_loss_weight_is_not_shared() -> None:
    above, loss = Blob((2, 3)), Blob((6,))
    loss.set_loss_weight(2)
    above.share_diff(loss)
    np.testing.assert_array_equal(above.diff, np.full((2, 3), 2))
    above.diff[...] = 0
    np.testing.assert_array_equal(loss.diff, [2] * 6)


def test_moving_takes_the_numbers_along() -> None:
    blob, data, diff = Blob((2, 2)), Storage(np.float32, 9), Storage(np.float32, 9)
    blob.data[...] = [[1, 2], [3, 4]]
    before = blob.data
    blob.move_to(data.slice(2, 4), diff.slice(2, 4))
    np.testing.assert_array_equal(data.array(), [0, 0, 1, 2, 3, 4, 0, 0, 0])
    assert not diff.allocated
    blob.diff[1, 1] = 7
    assert diff.array()[5] == 7
    before[0, 0] = 100
    assert blob.data[0, 0] == 1


def test_legacy_names() -> None:
    blob = Blob((2, 3, 5, 7))
    assert (blob.num, blob.channels, blob.height, blob.width) == (2, 3, 5, 7)
    blob.reshape(4, 6)
    assert (blob.num, blob.channels, blob.height, blob.width) == (4, 6, 1, 1)
    blob.reshape(1, 2, 3, 4, 5)
    with pytest.raises(ShapeError, match=r"need at most 4 axes; this blob has shape \(1, 2, 3, 4, 5\)\. Use shape\."):
        _ = blob.num


def test_names_are_not_rebound_by_mistake() -> None:
    blob = Blob((2,))
    for value in (np.ones(2), 0, blob.data.copy()):
        with pytest.raises(AssignmentError, match=r"data cannot be replaced. Write into it: blob.data\[...\] = array"):
            blob.data = value
        with pytest.raises(AttributeError, match=r"diff cannot be replaced. Write into it: blob.diff\[...\] = array"):
            blob.diff = value
    with pytest.raises(AttributeError):
        blob.dta = np.ones(2)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", [(2, 3), ()])
@pytest.mark.parametrize("watched", [False, True])
def test_operators_that_work_in_place(shape: tuple[int, ...], watched: bool) -> None:
    blob = Blob(shape)
    if watched:
        blob.move_to(WatchedStorage(count=blob.count), Storage(count=blob.count))
    blob.data += 3
    blob.data *= 2
    blob.diff -= 1
    blob.diff[...] *= 4
    assert (blob.data == 6).all()
    assert (blob.diff == -4).all()


def test_what_tab_offers() -> None:
    offered = [name for name in dir(Blob((2, 3))) if not name.startswith("_")]
    assert offered == ["channels", "count", "data", "diff", "height", "num", "reshape", "shape", "width"]


def test_it_shows_itself() -> None:
    blob = Blob((2, 3), name="ip1")
    assert repr(blob).startswith("ip1 (2, 3) float32")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda blob: pickle.loads(pickle.dumps(blob))])
def test_a_copy_is_a_blob_of_its_own(copied: Callable[[Blob], Blob]) -> None:
    net = net_of(inputs(x=(2, 3)) + ip("ip", "x", "y", 5), seed=1)
    net.params["ip"][1].diff[...] = 7
    for blob in (net.params["ip"][0], net.params["ip"][1], net.blobs["x"]):
        blob.data[...] += 1
        other = copied(blob)
        np.testing.assert_array_equal(other.data, blob.data)
        np.testing.assert_array_equal(other.diff, blob.diff)
        assert (other.name, other.dtype) == (blob.name, blob.dtype)
        assert not np.shares_memory(other.data, blob.data)
    assert not copied(net.blobs["y"])._diff.allocated, "as none was there"
    with pytest.raises(CaffeError, match="A layer cannot be copied or pickled. Its blobs can: copy.deepcopy"):
        copied(net.layers[1])  # type: ignore[arg-type]
    weights = copy.deepcopy(net.params["ip"])
    assert [b.shape for b in weights] == [(5, 3), (5,)]
