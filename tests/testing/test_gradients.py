"""The gradient checker finds what is wrong, says where, and lets what is right pass."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.testing import LayerCase, check_gradient, uniform
from tests.layers.nets import net_of

NET = """
layer { name: "i" type: "Input" top: "x" top: "t" input_param { shape { dim: 3 dim: 5 } shape { dim: 3 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h" inner_product_param {
    num_output: 4 weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 } } }
layer { name: "tanh" type: "TanH" bottom: "h" top: "h" }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "y" inner_product_param {
    num_output: 7 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" loss_weight: 0.7 }
layer { name: "side" type: "Sigmoid" bottom: "h" top: "side" }
layer { name: "accuracy" type: "Accuracy" bottom: "y" bottom: "t" top: "accuracy" }
"""
INPUTS = {"x": np.random.default_rng(0).normal(size=(3, 5)), "t": np.array([6.0, 0, 2])}


class Square(caffe.Layer):
    """y = x² + w; the test breaks it in one way or another."""

    bottom_factor = 2.0
    param_factor = 1.0
    wrong_at: tuple[int, ...] | None = None

    def setup(self, bottom, top):
        self.blobs.add_blob(*bottom[0].shape)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data ** 2 + self.blobs[0].data

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = self.bottom_factor * bottom[0].data * top[0].diff
        self.blobs[0].diff[...] += self.param_factor * top[0].diff
        if self.wrong_at is not None:
            bottom[0].diff[self.wrong_at] += 1e-4


@pytest.fixture
def square() -> Iterator[type[Square]]:
    class Copy(Square):
        pass

    module = types.ModuleType("square_layer")
    module.Square = Copy
    sys.modules["square_layer"] = module
    yield Copy
    del sys.modules["square_layer"]


def case(*shape: int) -> LayerCase:
    return LayerCase("Python", 'python_param { module: "square_layer" layer: "Square" }', [uniform(*shape)])


def test_a_whole_net() -> None:
    check_gradient(NET, INPUTS, ignore=["accuracy"], tolerance=1e-8)


def test_a_net_that_was_built_already() -> None:
    check_gradient(net_of("force_backward: true" + NET, dtype=np.float64, seed=1), INPUTS, ignore=["accuracy"])
    with pytest.raises(CaffeError, match="float32.*dtype=np.float64"):
        check_gradient(net_of(NET), INPUTS)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5, 7)])
def test_right_gradients_pass(square: type[Square], shape: tuple[int, ...]) -> None:
    check_gradient(case(*shape))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5, 7)])
def test_a_wrong_bottom_gradient(square: type[Square], shape: tuple[int, ...]) -> None:
    square.bottom_factor = 2.01
    with pytest.raises(AssertionError, match="input 'x0', which layer 'target' of type Python reads is wrong at"):
        check_gradient(case(*shape))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5, 7)])
def test_a_wrong_parameter_gradient(square: type[Square], shape: tuple[int, ...]) -> None:
    square.param_factor = 0.999
    with pytest.raises(AssertionError, match="parameter 0 of layer 'target' of type Python is wrong at .*differences"):
        check_gradient(case(*shape))


def test_one_wrong_number_among_many_is_found_and_named(square: type[Square]) -> None:
    square.wrong_at = (1, 2, 3)
    with pytest.raises(AssertionError, match=r"is wrong at \[1, 2, 3\]: backward gives"):
        check_gradient(case(3, 5, 7))


def test_a_gradient_that_is_not_written_is_found(square: type[Square]) -> None:
    square.bottom_factor = np.nan
    with pytest.raises(AssertionError, match="backward gives nan"):
        check_gradient(case(2, 3))


def test_a_kink_is_suspected_where_no_number_is_wrong_by_itself() -> None:
    """Neighbours 1.5 steps apart: moved together, they change places; moved alone, they do not."""
    text = """layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
        layer { name: "p" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 2 stride: 2 } }"""
    row, column = np.indices((8, 8)) % 2
    x = (row + 1.5e-5 * column).reshape(1, 1, 8, 8)
    with pytest.raises(AssertionError, match="a kink may lie within a step"):
        check_gradient(text, {"x": x})
    check_gradient(text, {"x": np.random.default_rng(0).normal(size=x.shape)})


def test_the_net_is_left_as_it_was(square: type[Square]) -> None:
    net = net_of("force_backward: true" + NET, dtype=np.float64, seed=1)
    before = [b.data.copy() for b in net.learnable.blobs]
    check_gradient(net, INPUTS, ignore=["accuracy"])
    for blob, data in zip(net.learnable.blobs, before, strict=True):
        np.testing.assert_array_equal(blob.data, data)
    np.testing.assert_array_equal(net.blobs["x"].data, INPUTS["x"])
