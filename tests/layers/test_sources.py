"""Input, DummyData and Silence: where blobs begin and end."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import ParameterError
from tests.layers.nets import net_of


def test_dummy_data_draws_anew_what_is_random_and_only_that() -> None:
    net = net_of(
        """layer { name: "d" type: "DummyData" top: "a" top: "b" top: "c" dummy_data_param {
        shape { dim: 3 dim: 5 } shape { dim: 1000 } shape { dim: 2 }
        data_filler { type: "constant" value: 3 } data_filler { type: "uniform" min: 2 max: 4 }
        data_filler { type: "constant" } } }""",
        seed=3,
    )
    a, b, c = (net.blobs[n] for n in "abc")
    assert (a.shape, b.shape, c.shape) == ((3, 5), (1000,), (2,))
    net.forward()
    first = b.data.copy()
    assert (a.data == 3).all()
    assert not c.data.any()
    assert 2 <= first.min() < 2.1
    assert 3.9 < first.max() <= 4
    a.data[0, 0] = 8  # a constant is filled once: what the user writes stays
    net.forward()
    assert a.data[0, 0] == 8
    assert not np.array_equal(b.data, first)


def test_dummy_data_one_shape_and_no_filler_serve_all_tops() -> None:
    net = net_of("""layer { name: "d" type: "DummyData" top: "a" top: "b"
        dummy_data_param { num: 2 channels: 3 height: 5 width: 7 } }""")
    for blob in net.forward().values():
        assert blob.shape == (2, 3, 5, 7)
        assert not blob.any()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("shape { dim: 2 } num: 3", "both"),
        ("shape { dim: 2 } shape { dim: 3 }", "shape is given 2 times for 3 tops"),
        ("num: 2 num: 3 channels: 1 height: 1 width: 1", "num is given 2 times for 3 tops"),
        ("num: 2 channels: 1 height: 1", "width is given 0 times for 3 tops"),
        ("shape { dim: 2 } data_filler { } data_filler { }", "data_filler is given 2 times for 3 tops"),
    ],
)
def test_dummy_data_refuses(fields: str, says: str) -> None:
    with pytest.raises(ParameterError, match=f"{says}.*layer 'd' of type DummyData, net.prototxt:1:"):
        net_of(f'layer {{ name: "d" type: "DummyData" top: "a" top: "b" top: "c" dummy_data_param {{ {fields} }} }}')


def test_input_keeps_data_and_shape_that_the_user_gave() -> None:
    net = net_of('layer { name: "i" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 } } }')
    assert net.inputs == ["a", "b"]
    net.blobs["a"].reshape(5, 7)
    net.blobs["a"].data[...] = 4
    net.forward()
    net.reshape()
    assert net.blobs["a"].shape == (5, 7)
    assert (net.blobs["a"].data == 4).all()
    assert net.blobs["b"].shape == (2, 3)


def test_input_refuses_another_number_of_shapes() -> None:
    with pytest.raises(ParameterError, match=r"2 shapes are given for 3 tops .layer 'i' of type Input"):
        net_of(
            'layer { name: "i" type: "Input" top: "a" top: "b" top: "c" '
            "input_param { shape { dim: 2 } shape { dim: 3 } } }"
        )


def test_silence_takes_blobs_from_the_outputs() -> None:
    text = 'layer { name: "i" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 } } }'
    assert net_of(text).outputs == ["a", "b"]
    assert net_of(text + 'layer { name: "s" type: "Silence" bottom: "a" }').outputs == ["b"]
