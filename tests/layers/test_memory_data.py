from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import Net
from pycaffe_lite.errors import DataError, ShapeError
from tests.layers.nets import net_of

X = np.random.default_rng(4).normal(size=(6, 3, 5, 7)).astype(np.float32)
T = np.arange(6, dtype=np.float32) + 10


@pytest.fixture
def net() -> Net:
    return net_of(
        'layer { name: "m" type: "MemoryData" top: "x" top: "t"\n'
        "memory_data_param { batch_size: 2 channels: 3 height: 5 width: 7 } }"
    )


def test_batches_come_in_order_and_start_again(net: Net) -> None:
    net.layers[0].set_input_arrays(X, T)
    for step in range(5):
        net.forward()
        rows = [2 * step % 6, (2 * step + 1) % 6]
        np.testing.assert_array_equal(net.blobs["x"].data, X[rows])
        np.testing.assert_array_equal(net.blobs["t"].data, T[rows])


def test_new_arrays_start_at_their_beginning(net: Net) -> None:
    net.layers[0].set_input_arrays(X, T)
    net.forward()
    net.layers[0].set_input_arrays(X[4:], T[4:].reshape(2, 1, 1, 1))
    net.forward()
    np.testing.assert_array_equal(net.blobs["x"].data, X[4:])
    np.testing.assert_array_equal(net.blobs["t"].data, T[4:])


def test_forward_before_data(net: Net) -> None:
    with pytest.raises(DataError, match=r"no data yet.*layer 'm' of type MemoryData, net.prototxt:1:"):
        net.forward()


@pytest.mark.parametrize(
    ("x", "t", "says"),
    [
        (X[:, :2], T, r"\(6, 2, 5, 7\)"),
        (X, T[:5], "6 data and 5 labels"),
        (X[:3], T[:3], "batch_size is 2"),
        (X[:0], T[:0], "0 data"),
    ],
)
def test_arrays_that_do_not_fit(net: Net, x: np.ndarray, t: np.ndarray, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        net.layers[0].set_input_arrays(x, t)


def test_a_transformation_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    net_of(
        'layer { name: "m" type: "MemoryData" top: "x" top: "t" transform_param { scale: 2 }\n'
        "memory_data_param { batch_size: 2 channels: 3 height: 5 width: 7 } }"
    )
    assert "MemoryData 'm' does not transform arrays: transform_param is ignored" in caplog.messages
