"""The layer contract's base class: arity, axes, facts, parameters, scratch memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import Blob, Layer
from pycaffe_lite.constraints import at_least as value_at_least
from pycaffe_lite.errors import GraphError, MemoryLimitError, MissingMethodError, ParameterError, ShapeError
from pycaffe_lite.layer import (
    Blobs,
    at_least,
    bind,
    canonical_axis,
    check_arity,
    exactly,
    from_to,
    same_shape,
)
from pycaffe_lite.proto import caffe_pb2 as pb
from tests.graph.nets import inputs, ip, layer
from tests.layers.nets import net_of


def bound(made: Layer, dtype: Any = np.float32, seed: int = 3) -> Layer:
    bind(made, dtype=dtype, phase=caffe.TEST, rng=lambda: np.random.default_rng(seed))
    return made


# Arity.


@pytest.mark.parametrize(
    ("arity", "inside", "outside", "text"),
    [
        (exactly(2), [2], [0, 1, 3], "2"),
        (at_least(1), [1, 2, 99], [0], "at least 1"),
        (from_to(1, 3), [1, 3], [0, 4], "1 to 3"),
    ],
)
def test_arity(arity: caffe.layer.Arity, inside: list[int], outside: list[int], text: str) -> None:
    assert all(n in arity for n in inside)
    assert not any(n in arity for n in outside)
    assert "2" not in arity
    assert str(arity) == text


def test_check_arity() -> None:
    class Two(Layer):
        bottoms, tops = exactly(2), from_to(1, 2)

    check_arity(Two(), 2, 1)
    with pytest.raises(GraphError, match=r"^1 bottom blob given, this layer takes 2 bottom blobs$"):
        check_arity(Two(), 1, 1)
    with pytest.raises(GraphError, match=r"^3 top blobs given, this layer takes 1 to 2 top blobs$"):
        check_arity(Two(), 2, 3)

    class Same(Layer):
        same_number = True

    check_arity(Same(), 2, 2)
    with pytest.raises(GraphError, match=r"^2 bottom blobs and 1 top blob given, their numbers must be equal$"):
        check_arity(Same(), 2, 1)


# Axes and shapes.


def test_canonical_axis() -> None:
    assert [canonical_axis(a, (2, 3, 5)) for a in (0, 2, -1, -3)] == [0, 2, 2, 0]
    for axis in (3, -4):
        with pytest.raises(
            ParameterError, match=rf"axis {axis} is out of range for a bottom of shape \(2, 3, 5\)"
        ) as e:
            canonical_axis(axis, (2, 3, 5), "concat_param.axis")
        assert e.value.field == "concat_param.axis"
    with pytest.raises(ParameterError):
        canonical_axis(0, ())


def test_same_shape() -> None:
    same_shape([(2, 3)] * 3)
    with pytest.raises(
        ShapeError, match=r"bottom 2 has shape \(3, 2\), bottom 0 has shape \(2, 3\)\. They must be equal"
    ):
        same_shape([(2, 3), (2, 3), (3, 2)])


# Construction.


def test_defaults() -> None:
    made = Layer()
    assert (made.type, made.param_str, list(made.blobs), made.phase) == ("", "", [], caffe.TRAIN)
    assert not made.may_run_in_place()
    assert made.backward_reads_bottom_data()
    assert made.backward_reads_top_data()
    assert made.allow_force_backward(0)
    assert made.default_loss_weight(0) == 0
    assert made.param_propagate_down(0)


def test_constraints_are_checked_when_it_is_made() -> None:
    class Narrow(Layer):
        constraints = {"inner_product_param.num_output": value_at_least(5)}

    message = pb.LayerParameter()
    message.inner_product_param.num_output = 4
    with pytest.raises(ParameterError, match="num_output is 4, it must be at least 5"):
        Narrow(message)


@pytest.mark.parametrize("calls_base", [True, False])
def test_users_may_have_an_init(calls_base: bool) -> None:
    class Mine(Layer):
        def __init__(self, p: pb.LayerParameter) -> None:
            if calls_base:
                super().__init__(p)
            self.mine = p.name

    made = Mine(pb.LayerParameter(name="n"))
    assert made.mine == "n"
    assert list(made.blobs) == []


# Learnable blobs.


def test_add_param() -> None:
    message, default = pb.LayerParameter(), pb.FillerParameter(value=3)
    message.scale_param.filler.CopyFrom(pb.FillerParameter(type="gaussian", std=2))
    made, filler = bound(Layer(message), np.float64), "scale_param.filler"
    blob = made._add_param((3, 4), filler, default)
    assert blob is made.blobs[0]
    assert (blob.shape, blob.dtype) == ((3, 4), np.float64)
    np.testing.assert_array_equal(blob.data, bound(Layer(message), np.float64)._add_param((3, 4), filler).data)
    assert np.any(bound(Layer(message), seed=4)._add_param((3, 4), filler).data != blob.data)
    assert (made._add_param((2,), "scale_param.bias_filler", default).data == 3).all()
    assert not made._add_param((2,), "scale_param.bias_filler").data.any()


def test_a_parameter_that_does_not_fit() -> None:
    with pytest.raises(MemoryLimitError, match=r"A parameter of shape \(1000000, 1000000000\) needs 3.6 PiB"):
        bound(Layer())._add_param((10**6, 10**9))


def test_scratch_is_kept_while_it_fits() -> None:
    made = Layer()
    a = made._scratch("a", (2, 6), np.float32)
    assert made._scratch("a", (2, 6), np.float32) is a
    assert not np.shares_memory(made._scratch("b", (2, 6), np.float32), a)
    smaller = made._scratch("a", (3, 3), np.float32)
    assert (smaller.shape, np.shares_memory(smaller, a)) == ((3, 3), True)
    assert np.shares_memory(made._scratch("a", (4, 3), np.float32), a)
    assert made._scratch("a", (), np.float32).shape == ()
    larger = made._scratch("a", (2, 7), np.float32)
    assert (larger.shape, np.shares_memory(larger, a)) == ((2, 7), False)
    assert made._scratch("a", (2, 7), np.bool_).dtype == np.bool_
    assert made._scratch("a", (2, 7), np.float64).dtype == np.float64


# The default passes.


CONVOLUTION = "convolution_param { num_output: 2 kernel_size: 3 }"


class Doubler(Layer):
    """The smallest layer."""

    def infer_shapes(self, bottom_shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...] | None]:
        return [bottom_shapes[0], None]

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        np.multiply(bottom[0].data, 2, out=top[0].data)


def test_what_tab_offers() -> None:
    class Users(Doubler):
        def helper(self) -> None: ...

    pycaffes = {"backward", "blobs", "forward", "param_str", "phase", "reshape", "setup", "type"}
    convolution = net_of(inputs(x=(2, 3, 5, 7)) + layer("c", "Convolution", "x", "y", CONVOLUTION)).layer_dict["c"]
    assert {name for name in dir(convolution) if not name.startswith("_")} == pycaffes
    users = Users()
    users.batch_size = 3  # type: ignore[attr-defined]
    assert {"helper", "batch_size", *pycaffes} <= set(dir(users))


def test_reshape_and_forward_do_what_the_subclass_says() -> None:
    bottom, top = [Blob((2, 3))], [Blob(), Blob((7,))]
    made = Doubler()
    made.reshape(bottom, top)
    assert [b.shape for b in top] == [(2, 3), (7,)]
    bottom[0].data[...] = 4
    made.forward(bottom, top)
    np.testing.assert_array_equal(top[0].data, np.full((2, 3), 8))


def test_what_a_subclass_leaves_out() -> None:
    bottom, top = [Blob((2, 3))], [Blob((2, 3))]
    with pytest.raises(MissingMethodError, match=r"Layer has no reshape\. Write reshape\(self, bottom, top\)"):
        Layer().reshape(bottom, top)
    with pytest.raises(MissingMethodError, match=r"Layer has no forward\. Write forward\(self, bottom, top\)"):
        Layer().forward(bottom, top)
    Doubler().backward(top, [False], bottom)
    with pytest.raises(GraphError, match=r"This layer has no gradient, .* Set propagate_down: false for its bottoms\."):
        Doubler().backward(top, [True], bottom)


def test_a_layer_without_gradient_in_the_middle_names_itself() -> None:
    scores = ip("a", "x", "a", 5) + layer("acc", "Accuracy", "a t", "acc", "loss_weight: 1")
    net = net_of(inputs(x=(2, 3), t=(2,)) + scores)
    net.forward()
    with pytest.raises(
        GraphError, match=r"This layer has no gradient.*\(layer 'acc' of type Accuracy, net.prototxt:\d+:1\)"
    ):
        net.backward()
