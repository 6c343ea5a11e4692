"""The one table of layer cases, which golden-independent checks run over. Dimensions differ, parameters are off their
defaults, and each parameter of a layer is turned in some case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pycaffe_lite import TEST
from pycaffe_lite.testing import LayerCase, Values, integers, uniform
from tests.layers import cases_elementwise, cases_losses_recurrent, cases_shapes

IMAGES = uniform(2, 3, 5, 7)

NEURONS = [
    LayerCase("ReLU", "", [IMAGES]),
    LayerCase("ReLU", "relu_param { negative_slope: 0.3 }", [IMAGES]),
    LayerCase("ReLU", "relu_param { negative_slope: -0.4 }", [uniform(3, 5, avoid=[0])]),
    LayerCase("Sigmoid", "", [uniform(2, 3, 5, 7, low=-8, high=8)]),
    LayerCase("TanH", "", [uniform(2, 3, 5, 7, low=-4, high=4)]),
    LayerCase("Power", "power_param { power: 2.3 scale: 0.7 shift: 1.5 }", [IMAGES]),
    LayerCase("Power", "power_param { power: 1 scale: -1.3 shift: 0.4 }", [IMAGES]),
    LayerCase("Power", "power_param { power: 3 }", [uniform(2, 3, 5)]),
    LayerCase("Power", "power_param { power: -1.5 scale: 2 }", [uniform(3, 2, low=0.3, high=1)]),
    LayerCase("Power", "power_param { power: 0 scale: 2 }", [uniform(3, 2)]),
    LayerCase("Power", "power_param { power: 2 scale: 0 shift: 3 }", [uniform(3, 2)]),
    LayerCase("Dropout", "dropout_param { dropout_ratio: 0.3 }", [IMAGES]),
    LayerCase("Dropout", "dropout_param { dropout_ratio: 0.7 }", [uniform(5, 3)], phase=TEST),
    LayerCase("Dropout", "dropout_param { dropout_ratio: 0 }", [uniform(5, 3)]),
]


def _with(type_name: str, param: str) -> Callable[..., LayerCase]:
    """Makes cases of a type from the fields of its own message; the bottom is IMAGES unless others are given."""

    def make(fields: str, *bottoms: Values, **more: Any) -> LayerCase:
        return LayerCase(type_name, f"{param} {{ {fields} }}", bottoms or [IMAGES], **more)

    return make


inner_product = _with("InnerProduct", "inner_product_param")
convolution = _with("Convolution", "convolution_param")
lrn = _with("LRN", "lrn_param")
pooling = _with("Pooling", "pooling_param")
eltwise = _with("Eltwise", "eltwise_param")

WITH_PARAMETERS = [
    inner_product("num_output: 4"),
    inner_product("num_output: 4 transpose: true", uniform(3, 5)),
    inner_product("num_output: 4 bias_term: false", uniform(5, 3, 2)),
    inner_product("num_output: 3 axis: 2"),
    inner_product("num_output: 5 axis: -1 transpose: true bias_term: false"),
    inner_product("num_output: 7 axis: 0", uniform(2, 3), resizable=False),
    inner_product("num_output: 1", uniform(1, 6)),
    convolution("num_output: 4 kernel_size: 3"),
    convolution("num_output: 4 kernel_size: 1"),
    convolution("num_output: 4 kernel_size: 1 stride: 2 bias_term: false"),
    convolution("num_output: 2 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 2 pad_w: 1 bias_term: false"),
    convolution("num_output: 6 kernel_size: 3 group: 2 pad: 1", uniform(3, 4, 5, 6)),
    convolution("num_output: 3 kernel_size: 2 group: 3 stride: 2"),
    convolution("num_output: 2 kernel_size: 3 dilation: 2 pad: 2"),
    convolution("num_output: 4 kernel_size: 5 stride: 3 pad: 4"),
    convolution(
        "num_output: 2 kernel_size: [2, 3] pad: [1, 0] stride: [1, 2]", uniform(2, 3, 4, 5), uniform(2, 3, 4, 5), tops=2
    ),
    convolution("num_output: 4 kernel_size: 3 force_nd_im2col: true pad: 1"),
    convolution("num_output: 2 kernel_size: [2, 1, 3] pad: 1 stride: [2, 1, 1]", uniform(2, 3, 4, 3, 5)),
    convolution("num_output: 4 kernel_size: [2, 1, 3] group: 2 dilation: [1, 1, 2] stride: 2", uniform(3, 2, 4, 3, 7)),
    convolution("num_output: 3 kernel_size: 3 pad: 1", uniform(2, 4, 7)),
    convolution("num_output: 3 kernel_size: 2 axis: 2", uniform(2, 3, 4, 5)),
    convolution("num_output: 3 kernel_size: 3 stride: 2", uniform(2, 4, 2, 5)),  # larger than the image
    convolution("num_output: 3 kernel_size: 2 axis: -3", uniform(2, 3, 4, 5)),
    convolution("num_output: 3 axis: 3", uniform(2, 5, 3, 4)),  # over no axes
    convolution("num_output: 6 kernel_size: 1 group: 2 bias_term: false", uniform(3, 4)),
    lrn("local_size: 3 alpha: 0.7 beta: 0.6 k: 1.3", uniform(2, 7, 3, 5)),
    lrn("alpha: 1.5", uniform(2, 3, 5, 4)),
    lrn("local_size: 9 alpha: 0.7 beta: 0.5", uniform(3, 5, 2, 4)),
    lrn("local_size: 3 alpha: 1.7 beta: 0.6 norm_region: WITHIN_CHANNEL"),
    lrn("local_size: 7 alpha: 0.9 norm_region: WITHIN_CHANNEL", uniform(2, 3, 4, 5)),
]

POOLING = [
    *(
        pooling(f"pool: {pool} {window}")
        for pool in ("MAX", "AVE")
        for window in (
            "kernel_size: 2 stride: 2",
            "kernel_size: 3 stride: 2 round_mode: FLOOR",
            "kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 3 pad_h: 2 pad_w: 1",
            "kernel_size: 3 stride: 2 pad: 1",
            "kernel_size: 3 stride: 3 pad: 2",
            "kernel_size: 2 stride: 3",
            "kernel_size: 2 stride: 5",  # a window that lies outside: there is nothing to be largest
            "global_pooling: true",
            "kernel_size: 1",
        )
    ),
    pooling("pool: MAX kernel_size: 3 stride: 2 pad: 1", tops=2, ignored_tops=[1]),
]

SHAPES = [
    LayerCase("Flatten", "", [IMAGES]),
    LayerCase("Flatten", "flatten_param { axis: 0 end_axis: 1 }", [IMAGES]),
    LayerCase("Flatten", "flatten_param { axis: -3 end_axis: -2 }", [IMAGES]),
    LayerCase("Flatten", "flatten_param { axis: 2 end_axis: 2 }", [IMAGES]),
    LayerCase("Split", "", [IMAGES]),
    LayerCase("Split", "", [uniform(3, 5)], tops=2),
    LayerCase("Split", "", [uniform(3, 5, 2)], tops=4),
    LayerCase("Split", "", [uniform(3, 5, 2, 4)], tops=3),
    LayerCase("Concat", "", [uniform(2, 3, 5), uniform(2, 7, 5), uniform(2, 1, 5)]),
    LayerCase("Concat", "concat_param { axis: 0 }", [uniform(2, 3), uniform(5, 3)]),
    LayerCase("Concat", "concat_param { axis: -1 }", [uniform(2, 3, 5), uniform(2, 3, 4)]),
    LayerCase("Concat", "concat_param { concat_dim: 2 }", [uniform(2, 3, 5), uniform(2, 3, 4)]),
    LayerCase("Concat", "", [uniform(3, 5)]),
    LayerCase("Concat", "", [uniform(2, 3, 5, 4), uniform(2, 7, 5, 4), uniform(2, 1, 5, 4)]),
    LayerCase("Eltwise", "", [IMAGES, IMAGES]),
    eltwise("operation: SUM coeff: [0.7, -1.3, 1]", *[uniform(2, 3, 5)] * 3),
    eltwise("operation: PROD", *[uniform(2, 3, 5)] * 3),
    eltwise("operation: PROD stable_prod_grad: false", *[uniform(2, 3, 5, avoid=[0])] * 3),
    eltwise("operation: MAX", *[uniform(2, 3, 5)] * 3),
    eltwise("operation: MAX", *[uniform(7, 2)] * 2),
    LayerCase("Silence", "", [uniform(2, 3), uniform(5)], tops=0),
    LayerCase("Softmax", "", [uniform(3, 7, low=-3, high=3)]),
    LayerCase("Softmax", "", [IMAGES]),
    LayerCase("Softmax", "softmax_param { axis: 0 }", [uniform(5, 3, 2)]),
    LayerCase("Softmax", "softmax_param { axis: -1 }", [uniform(2, 3, 7)]),
]

LOGITS = uniform(5, 7, low=-3, high=3)
PLANES = uniform(2, 5, 3, 4, low=-3, high=3)

LOSSES = [
    LayerCase("SoftmaxWithLoss", "", [LOGITS, integers(5, below=7)]),
    LayerCase("SoftmaxWithLoss", "loss_weight: [0.3, 0]", [LOGITS, integers(5, below=7)], tops=2, ignored_tops=[1]),
    LayerCase("SoftmaxWithLoss", "loss_weight: 1.7", [PLANES, integers(2, 1, 3, 4, below=5)]),
    *(
        LayerCase("SoftmaxWithLoss", f"loss_param {{ ignore_label: 2 {rule} }}", [PLANES, integers(2, 3, 4, below=5)])
        for rule in (
            "",
            "normalization: FULL",
            "normalization: BATCH_SIZE",
            "normalization: NONE",
            "normalize: false",
            "normalize: true normalization: NONE",
        )
    ),
    LayerCase("SoftmaxWithLoss", "loss_param { ignore_label: -1 }", [PLANES, integers(2, 3, 4, low=-1, below=5)]),
    LayerCase("SoftmaxWithLoss", "softmax_param { axis: -1 }", [uniform(2, 3, 5), integers(2, 3, below=5)]),
    LayerCase("SoftmaxWithLoss", "softmax_param { axis: 2 }", [PLANES, integers(2, 5, 4, below=3)]),
    LayerCase("EuclideanLoss", "", [uniform(3, 5), uniform(3, 5)]),
    LayerCase("EuclideanLoss", "", [uniform(2, 1, 3, 1, 2), uniform(2, 6)]),
    LayerCase("EuclideanLoss", "", [uniform(), uniform()]),
    LayerCase("EuclideanLoss", "loss_weight: 0.3", [uniform(3, 5, 2), uniform(3, 10)]),
    LayerCase("SigmoidCrossEntropyLoss", "", [LOGITS, uniform(5, 7, low=0)]),
    LayerCase("SigmoidCrossEntropyLoss", "loss_weight: 2.5", [PLANES, integers(2, 60, below=2)]),
    LayerCase("SigmoidCrossEntropyLoss", "", [uniform(2, 1, 3, 1, 2), uniform(2, 6, low=0)]),
    *(
        LayerCase("SigmoidCrossEntropyLoss", f"loss_param {{ {rule} }}", [LOGITS, integers(5, 7, below=2)])
        for rule in (
            "ignore_label: 0",
            "normalization: FULL",
            "ignore_label: 1 normalization: VALID",
            "ignore_label: 0 normalization: NONE",
            "ignore_label: 0 normalize: true",
        )
    ),
    LayerCase("Accuracy", "", [LOGITS, integers(5, below=7)]),
    LayerCase("Accuracy", "accuracy_param { top_k: 3 ignore_label: 1 }", [PLANES, integers(2, 3, 4, below=5)], tops=2),
    LayerCase("Accuracy", "accuracy_param { axis: -1 top_k: 2 }", [uniform(2, 3, 5), integers(2, 3, below=5)]),
]

SOURCES = [
    LayerCase("Input", "input_param { shape { dim: 2 dim: 3 } shape { dim: 5 } }", tops=2),
    LayerCase("Input", "input_param { shape { dim: 2 dim: 3 } }", tops=2),
    LayerCase(
        "DummyData",
        "dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: 'constant' value: 3 } "
        "data_filler { type: 'gaussian' std: 2 } }",
        tops=2,
    ),
    LayerCase(
        "DummyData",
        "dummy_data_param { num: 2 num: 5 channels: 3 height: 1 width: 7 width: 2 "
        "data_filler { type: 'uniform' min: -1 max: 1 } }",
        tops=2,
    ),
]

CASES = [
    *NEURONS,
    *WITH_PARAMETERS,
    *POOLING,
    *SHAPES,
    *LOSSES,
    *SOURCES,
    *cases_elementwise.CASES,
    *cases_shapes.CASES,
    *cases_losses_recurrent.CASES,
]

# Types that need files, arrays or user code, and the test file that is their evidence; messages for what can be checked
# without those.
ELSEWHERE = {
    "Data": "test_data.py",
    "HDF5Data": "test_hdf5_data.py",
    "HDF5Output": "test_hdf5_output.py",
    "ImageData": "test_image_data.py",
    "MemoryData": "test_memory_data.py",
    "Python": "test_python.py",
    "WindowData": "test_window_data.py",
}
ELSEWHERE_CASES = [
    LayerCase("Data", 'data_param { source: "nowhere" batch_size: 2 }', tops=2),
    LayerCase("HDF5Data", 'hdf5_data_param { source: "nowhere" batch_size: 2 }', tops=2),
    LayerCase("HDF5Output", 'hdf5_output_param { file_name: "nowhere/out.h5" }', [IMAGES, uniform(2, 5)], tops=0),
    LayerCase("ImageData", 'image_data_param { source: "nowhere" }', tops=2),
    LayerCase("MemoryData", "memory_data_param { batch_size: 2 channels: 3 height: 5 width: 7 }", tops=2),
    LayerCase(
        "WindowData",
        'window_data_param { source: "nowhere" batch_size: 2 } transform_param { crop_size: 5 }',
        tops=2,
    ),
]
