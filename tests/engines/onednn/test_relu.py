"""ReLU's gradient, in whatever order the numbers lie, is numpy's to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import engines
from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn import _arrays
from pycaffe_lite.engines.onednn._primitive import Primitive
from pycaffe_lite.layer import bind
from pycaffe_lite.layers.relu import ReLU
from pycaffe_lite.order import Order
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import find_layer

SHAPE = (3, 5, 4, 7)
COUNT = 3 * 5 * 4 * 7
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3e38]


@pytest.fixture(autouse=True)
def many(onednn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine take arrays of this file's size."""
    engines.engine()
    monkeypatch.setattr(_arrays, "MIN_COUNT", COUNT)


def make(kind: type[ReLU], slope: float) -> ReLU:
    layer = kind(pb.LayerParameter(type="ReLU", relu_param=pb.ReLUParameter(negative_slope=slope)))
    bind(layer, dtype=np.float32, phase=pb.TRAIN, rng=np.random.default_rng)
    return layer


def blob(order: Order, x: Array, dy: Array, dtype: type = np.float32) -> Blob:
    made = Blob(x.shape, dtype)
    made.leave_order_free()
    made.open("data", order)[...] = x
    made.open("diff", order)[...] = dy
    return made


def numbers() -> tuple[Array, Array]:
    """Every pair of special numbers is among them."""
    rng = np.random.default_rng(3)
    x, dy = (rng.normal(size=COUNT).astype(np.float32) for _ in range(2))
    x[:64], dy[:64] = np.repeat(SPECIAL, 8), np.tile(SPECIAL, 8)
    places = rng.permutation(COUNT)
    return x[places].reshape(SHAPE), dy[places].reshape(SHAPE)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.3, 2.5, -0.7])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("order", Order)
def test_as_numpy(slope: float, in_place: bool, order: Order, ran: list[Primitive]) -> None:
    x, dy = numbers()
    found = []
    for kind in (find_layer("ReLU", engines=["onednn"])[0], ReLU):
        bottom, top = blob(order, x, dy), blob(order, x, dy)
        layer = make(kind, slope)
        tops = [bottom if in_place else top]
        layer.setup([bottom], tops)
        with np.errstate(all="ignore"):
            layer.backward([*tops], [True], [bottom])
        found.append(bottom.diff)
        assert len(ran) == 1  # once, by the first of the two
    np.testing.assert_array_equal(*found)
    assert np.isnan(found[0]).sum() >= len(SPECIAL)
    if not in_place:
        np.testing.assert_array_equal(top.diff, dy)


@pytest.mark.parametrize("double", [False, True])
def test_left_to_numpy(double: bool, ran: list[Primitive], monkeypatch: pytest.MonkeyPatch) -> None:
    """float64; few numbers; and what does not lie alike."""
    x, dy = numbers()
    cls = find_layer("ReLU", engines=["onednn"])[0]
    for order in (Order.PLAIN, Order.CHANNELS_INNERMOST):
        if order is Order.PLAIN and not double:
            monkeypatch.setattr(_arrays, "MIN_COUNT", COUNT + 1)
        dtype = np.float64 if double else np.float32
        bottom, top = blob(Order.PLAIN, x, dy, dtype), blob(order, x, dy, dtype)
        layer = make(cls, 0.0)
        layer.setup([bottom], [top])
        with np.errstate(all="ignore"):
            layer.backward([top], [True], [bottom])
            np.testing.assert_array_equal(bottom.diff, dy * (x > 0))
        monkeypatch.setattr(_arrays, "MIN_COUNT", 1)
    assert ran == []


def test_sharing_in_place_leaves_the_other_alone() -> None:
    """A sum's gradient is its bottoms' own; a ReLU in place on one of them masks only that."""
    x, dy = numbers()
    bottom, other = blob(Order.CHANNELS_INNERMOST, x, dy), blob(Order.CHANNELS_INNERMOST, x, dy)
    bottom.take_diff_of(other)
    layer = make(find_layer("ReLU", engines=["onednn"])[0], 0.0)
    layer.setup([bottom], [bottom])
    with np.errstate(all="ignore"):
        layer.backward([bottom], [True], [bottom])
        np.testing.assert_array_equal(bottom.diff, dy * (x > 0))
    np.testing.assert_array_equal(other.diff, dy)
