"""What layers refuse beyond arity and constraints: shapes, combinations of fields, labels. Every error names the layer,
its type and its place in the file.
"""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, DataError, GraphError, ParameterError, ShapeError
from pycaffe_lite.testing import Bench, LayerCase, integers, uniform
from tests.layers.cases import IMAGES, convolution

SCORES = uniform(5, 7)
CLASSES = integers(5, below=7)

REFUSED = [
    (LayerCase("InnerProduct", "inner_product_param { num_output: 2 axis: 4 }", [IMAGES]), ParameterError, "axis 4"),
    (LayerCase("InnerProduct", "inner_product_param { num_output: 2 axis: -5 }", [IMAGES]), ParameterError, "axis -5"),
    (LayerCase("InnerProduct", "", [IMAGES]), ParameterError, "num_output is 0"),
    (convolution("kernel_size: 2"), ParameterError, "num_output"),
    (convolution("num_output: 2"), ParameterError, "kernel_size"),
    (convolution("num_output: 2 kernel_size: 3 kernel_h: 2 kernel_w: 2"), ParameterError, "kernel"),
    (convolution("num_output: 2 kernel_h: 3"), ParameterError, "kernel_w"),
    (convolution("num_output: 2 kernel_size: [1, 2, 3]"), ParameterError, "kernel_size"),
    (convolution("num_output: 2 kernel_size: 0"), ParameterError, "kernel"),
    (convolution("num_output: 2 kernel_size: 2 stride: 0"), ParameterError, "stride"),
    (convolution("num_output: 2 kernel_size: 2 group: 2"), CaffeError, "group"),
    (convolution("num_output: 4 kernel_size: 1 group: 3"), ParameterError, "group"),
    (convolution("num_output: 2 kernel_size: 6"), ShapeError, "kernel"),
    (convolution("num_output: 2 kernel_size: 2", IMAGES, uniform(2, 3, 5, 6), tops=2), ShapeError, r"\(2, 3, 5, 6\)"),
    (LayerCase("Pooling", "", [IMAGES]), ParameterError, "kernel"),
    (LayerCase("Pooling", "pooling_param { kernel_size: 2 pad: 2 }", [IMAGES]), ParameterError, "pad"),
    (LayerCase("Pooling", "pooling_param { global_pooling: true kernel_size: 2 }", [IMAGES]), ParameterError, "global"),
    (LayerCase("Pooling", "pooling_param { kernel_h: 2 kernel_w: 0 }", [IMAGES]), ParameterError, "kernel_w is 0"),
    (LayerCase("Pooling", "pooling_param { kernel_size: 2 }", [uniform(2, 3, 5)]), ShapeError, r"\(2, 3, 5\)"),
    (LayerCase("LRN", "lrn_param { local_size: 4 }", [IMAGES]), ParameterError, "local_size is 4"),
    (LayerCase("LRN", "", [uniform(2, 3)]), ShapeError, r"\(2, 3\)"),
    (LayerCase("Flatten", "flatten_param { axis: 2 end_axis: 1 }", [IMAGES]), ParameterError, "end_axis 1"),
    (LayerCase("Flatten", "flatten_param { end_axis: 4 }", [IMAGES]), ParameterError, "axis 4"),
    (LayerCase("Concat", "", [IMAGES, uniform(2, 3, 5)]), ShapeError, r"\(2, 3, 5\)"),
    (LayerCase("Concat", "", [IMAGES, uniform(2, 3, 5, 6)]), ShapeError, r"\(2, 3, 5, 6\)"),
    (LayerCase("Concat", "concat_param { axis: 1 concat_dim: 1 }", [IMAGES, IMAGES]), ParameterError, "concat_dim"),
    (LayerCase("Concat", "concat_param { axis: 4 }", [IMAGES, IMAGES]), ParameterError, "axis 4"),
    (LayerCase("Eltwise", "", [IMAGES, uniform(2, 3, 7, 5)]), ShapeError, r"\(2, 3, 7, 5\)"),
    (LayerCase("Eltwise", "eltwise_param { coeff: [1, 2, 3] }", [IMAGES, IMAGES]), ParameterError, "coeff is given 3"),
    (LayerCase("Eltwise", "eltwise_param { coeff: [1, 2] operation: PROD }", [IMAGES, IMAGES]), ParameterError, "SUM"),
    (LayerCase("Softmax", "softmax_param { axis: 2 }", [SCORES]), ParameterError, "axis 2"),
    (LayerCase("SoftmaxWithLoss", "", [SCORES, integers(4, below=7)]), ShapeError, r"\(4,\)"),
    (LayerCase("SoftmaxWithLoss", "", [SCORES, integers(5, 7, below=7)]), ShapeError, r"\(5, 7\)"),
    (LayerCase("SoftmaxWithLoss", "softmax_param { axis: 2 }", [SCORES, CLASSES]), ParameterError, "axis 2"),
    (LayerCase("EuclideanLoss", "", [SCORES, uniform(5, 6)]), ShapeError, r"\(5, 6\)"),
    (LayerCase("EuclideanLoss", "", [SCORES, uniform(4, 7)]), ShapeError, r"\(4, 7\)"),
    (LayerCase("SigmoidCrossEntropyLoss", "", [SCORES, uniform(5, 6)]), ShapeError, r"\(5, 6\)"),
    (LayerCase("Accuracy", "accuracy_param { top_k: 8 }", [SCORES, CLASSES]), ParameterError, "7 classes"),
    (LayerCase("Accuracy", "", [SCORES, integers(6, below=7)]), ShapeError, r"\(6,\)"),
    (LayerCase("ReLU", "loss_weight: [1, 2]", [IMAGES]), GraphError, "loss_weight is given 2 times"),
    (LayerCase("ReLU", "propagate_down: [true, true]", [IMAGES]), GraphError, "propagate_down is given 2 times"),
    (LayerCase("ReLU", "param { lr_mult: 1 }", [IMAGES]), GraphError, "0 learnable blobs"),
    (LayerCase("SoftmaxWithLoss", "propagate_down: [true, true]", [SCORES, CLASSES]), GraphError, "labels"),
]


@pytest.mark.parametrize(("case", "kind", "says"), REFUSED, ids=lambda v: str(v) if isinstance(v, LayerCase) else "")
def test_refused(case: LayerCase, kind: type[CaffeError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        Bench(case).gradients()
    assert f"layer 'target' of type {case.type}, {Bench.file}:" in str(caught.value)


@pytest.mark.parametrize(
    "case",
    [
        LayerCase("SoftmaxWithLoss", "", [uniform(2, 5, 3, 4), integers(2, 3, 4, below=5)]),
        LayerCase("Accuracy", "", [uniform(2, 5, 3, 4), integers(2, 3, 4, below=5)]),
    ],
    ids=str,
)
@pytest.mark.parametrize("label", [5, -1, 255])
def test_labels_that_are_no_class_are_refused(case: LayerCase, label: int) -> None:
    """Caffe reads beyond its arrays here."""
    bench = Bench(case)
    bench.inputs[1].data[1, 2, 0] = label
    with pytest.raises(DataError, match=rf"Label {label} of item 1 .*between 0 and 4.*layer 'target' of type"):
        bench.forward()


def test_inner_product_cannot_change_its_number_of_inputs() -> None:
    bench = Bench(LayerCase("InnerProduct", "inner_product_param { num_output: 2 }", [uniform(2, 3, 5)]))
    bench.inputs[0].reshape(2, 3, 4)
    with pytest.raises(ShapeError, match=r"\(2, 3, 4\) gives vectors of 12, the weights are for 15 .layer 'target'"):
        bench.forward()


def test_in_place_layers_that_may_not_be_get_memory_of_their_own() -> None:
    bench = Bench(LayerCase("Power", "power_param { power: 2 }", [uniform(2, 3)]), in_place=True)
    x = bench.inputs[0].data.copy()
    (y,) = bench.forward()
    np.testing.assert_allclose(y, x**2)
    np.testing.assert_array_equal(bench.inputs[0].data, x)
