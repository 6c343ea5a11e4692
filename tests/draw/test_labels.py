from __future__ import annotations

import pytest

from pycaffe_lite import draw
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.proto import caffe_pb2 as pb
from tests.draw.nets import parsed


@pytest.fixture
def layers() -> dict[str, pb.LayerParameter]:
    return {layer.name: layer for layer in parsed().layer}


def test_labels(layers: dict[str, pb.LayerParameter]) -> None:
    conv = '"conv (Convolution) kernel size: 5x3 stride: 2 pad: 1"'
    assert draw.get_layer_label(layers["conv"], "TB") == conv
    assert draw.get_layer_label(layers["conv"], "LR") == conv.replace(" (", r"\n(").replace(
        "e: 5x3 ", r"e: 5x3\n"
    ).replace(" pad", r"\npad").replace("n) ", r"n)\n")
    assert draw.get_layer_label(layers["conv"], "BT", display_lrm=True) == conv[:-1] + ' lr mult: 3.0, 1.0"'
    assert draw.get_layer_label(layers["pool"], "TB") == '"pool (Pooling AVE) kernel size: 3 stride: 2 pad: 0"'
    assert draw.get_layer_label(layers["sum"], "TB", display_lrm=True) == '"sum (Eltwise)"'


def test_sizes_of_each_axis() -> None:
    net = parsed("""
        layer { name: "a" type: "Deconvolution" convolution_param { kernel_h: 3 kernel_w: 7 stride: 2 pad_w: 2 } }
        layer { name: "b" type: "Pooling" pooling_param { kernel_h: 3 kernel_w: 3 } }
        layer { name: "c" type: "Pooling" pooling_param { global_pooling: true } }""")
    assert [draw.get_layer_label(layer, "TB") for layer in net.layer] == [
        '"a (Deconvolution) kernel size: 3x7 stride: 2 pad: 0x2"',
        '"b (Pooling MAX) kernel size: 3 stride: 1 pad: 0"',
        '"c (Pooling MAX) global"',
    ]


def test_edges(layers: dict[str, pb.LayerParameter]) -> None:
    names = ("test", "conv", "b1", "sum")
    assert [draw.get_edge_label(layers[name]) for name in names] == ["Batch 9", "11", "17", '""']


def test_learning_rates(layers: dict[str, pb.LayerParameter]) -> None:
    assert draw.get_layer_lr_mult(layers["conv"]) == (3.0, 1.0)
    assert draw.get_layer_lr_mult(layers["b1"]) == (1.0, 1.0)
    with pytest.raises(ParameterError, match="Pooling"):
        draw.get_layer_lr_mult(layers["pool"])


def test_colors_and_kinds_of_pooling() -> None:
    types = ("Convolution", "Deconvolution", "Pooling", "InnerProduct", "LRN")
    assert [draw.choose_color_by_layertype(t) for t in types] == ["#FF5050", "#FF5050", "#FF9900", "#CC33FF", "#6495ED"]
    assert draw.get_pooling_types_dict() == {0: "MAX", 1: "AVE", 2: "STOCHASTIC"}
