from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import layers as L
from pycaffe_lite import net_spec
from pycaffe_lite import params as P
from pycaffe_lite.errors import GraphError, ParameterError, UnknownTypeError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text


def lenet(batch_size: int) -> caffe.NetSpec:
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[batch_size, 1, 28, 28]), dict(dim=[batch_size, 1, 1, 1])],
        transform_param=dict(scale=0.5),
        ntop=2,
    )
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.ip1 = L.InnerProduct(n.pool1, num_output=500, param=[dict(lr_mult=3), dict(lr_mult=7, decay_mult=0)])
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.ip2 = L.InnerProduct(n.relu1, num_output=10)
    n["loss"] = L.SoftmaxWithLoss(n.ip2, n.label, loss_weight=2, include=dict(phase=caffe.TEST))
    return n


LENET = """
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 6 dim: 1 dim: 28 dim: 28 } shape { dim: 6 dim: 1 dim: 1 dim: 1 } }
  transform_param { scale: 0.5 } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { kernel_size: 5 num_output: 20 weight_filler { type: "xavier" } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { kernel_size: 2 stride: 2 pool: MAX } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool1" top: "ip1" inner_product_param { num_output: 500 }
  param { lr_mult: 3 } param { lr_mult: 7 decay_mult: 0 } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" inner_product_param { num_output: 10 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" loss_weight: 2
  include { phase: TEST } }
"""


def test_a_whole_net() -> None:
    made = lenet(6).to_proto()
    assert made == parse_text(LENET, pb.NetParameter)[0]
    assert parse_text(str(made), pb.NetParameter)[0] == made
    net = caffe.Net(made, caffe.TEST)
    assert list(net.layer_dict) == ["data", "conv1", "pool1", "ip1", "relu1", "ip2", "loss"]
    assert net.params["ip1"][0].shape == (500, 20 * 12 * 12)


def test_tops_without_a_spec_are_named_by_type_and_number() -> None:
    data, label = L.DummyData(shape=[dict(dim=[6, 3]), dict(dim=6)], ntop=2)
    ip = L.InnerProduct(data, num_output=5)
    relu = L.ReLU(ip, in_place=True)
    loss = L.SoftmaxWithLoss(L.InnerProduct(relu, num_output=4), label)
    made = loss.to_proto()
    assert made == caffe.to_proto(loss)
    assert [(x.name, list(x.bottom), list(x.top)) for x in made.layer] == [
        ("DummyData1", [], ["DummyData1", "DummyData2"]),
        ("InnerProduct1", ["DummyData1"], ["InnerProduct1"]),
        ("ReLU1", ["InnerProduct1"], ["InnerProduct1"]),
        ("InnerProduct2", ["InnerProduct1"], ["InnerProduct2"]),
        ("SoftmaxWithLoss1", ["InnerProduct2", "DummyData2"], ["SoftmaxWithLoss1"]),
    ]
    assert len(caffe.Net(made, caffe.TRAIN).layers) == 5
    assert len(caffe.to_proto(ip, loss, label).layer) == 5


def test_what_a_top_needs_is_part_of_the_net_though_nobody_named_it() -> None:
    n = caffe.NetSpec()
    n.y = L.ReLU(L.InnerProduct(L.DummyData(shape=dict(dim=[2, 3])), num_output=5))
    assert [x.name for x in n.to_proto().layer] == ["DummyData1", "InnerProduct1", "y"]


def test_layers_without_tops() -> None:
    n = caffe.NetSpec()
    n.data, n.data2 = L.DummyData(shape=[dict(dim=[3]), dict(dim=[4, 2])], ntop=2)
    n.silence_data = L.Silence(n.data, ntop=0)
    n.silence_data2 = L.Silence(n.data2, ntop=0)
    made = n.to_proto()
    assert [(x.name, list(x.top)) for x in made.layer[1:]] == [("silence_data", []), ("silence_data2", [])]
    net = caffe.Net(made, caffe.TRAIN)
    assert len(net.forward()) == 0
    assert [x.name for x in L.Silence(*L.DummyData(ntop=2), ntop=0).tops] == []


def test_what_is_no_top() -> None:
    data = L.DummyData(ntop=2)
    with pytest.raises(TypeError, match=re.escape("Silence input 0 is not a Top (type is <class 'tuple'>)")):
        L.Silence(data, ntop=0)
    with pytest.raises(TypeError, match=re.escape("Eltwise input 1 is not a Top (type is <class 'str'>)")):
        L.Eltwise(data[0], "data")
    n = caffe.NetSpec()
    n.data = data
    with pytest.raises(GraphError, match=r"'data' is no Top but a tuple.*n.a, n.b = "):
        n.to_proto()
    n.data = np.zeros(3)
    with pytest.raises(GraphError, match="'data' is no Top but a ndarray"):
        n.to_proto()


def test_names_of_layers_and_fields_of_the_layer() -> None:
    n = caffe.NetSpec()
    n.y = L.Python(name="mine", module="m", layer="C", param_str="text", loss_weight=[3], phase=caffe.TEST)
    (layer,) = n.to_proto().layer
    assert (layer.name, list(layer.top)) == ("mine", ["y"])
    assert (layer.python_param.module, layer.python_param.layer, layer.python_param.param_str) == ("m", "C", "text")
    assert (list(layer.loss_weight), layer.phase) == ([3], caffe.TEST)


def test_types_with_another_types_parameters() -> None:
    n = caffe.NetSpec()
    n.x = L.Input(shape=[dict(dim=[1, 3, 4, 4])])
    n.up = L.Deconvolution(n.x, convolution_param=dict(num_output=5, kernel_size=[2, 3]))
    made = n.to_proto().layer[1].convolution_param
    assert (made.num_output, list(made.kernel_size)) == (5, [2, 3])


def test_deep_nets_do_not_recurse() -> None:
    n = caffe.NetSpec()
    top = n.x = L.Input(shape=dict(dim=[1, 3]))
    for _ in range(3000):
        top = L.ReLU(top)
    n.last = top
    made = n.to_proto()
    assert len(made.layer) == 3001
    assert (made.layer[1].name, made.layer[-1].name) == ("ReLU1", "last")


def test_a_spec_is_a_dictionary_of_tops() -> None:
    n = caffe.NetSpec()
    n["in"] = L.Input(shape=dict(dim=[1, 3]))
    n.a = L.ReLU(n["in"])
    n.b = L.TanH(n.a)
    assert list(n.tops) == ["in", "a", "b"]
    assert n.tops["a"] is n.a is n["a"]
    del n.a
    del n["b"]
    assert list(n.tops) == ["in"]
    with pytest.raises(AttributeError, match="no top 'inn'. Did you mean 'in'"):
        _ = n.inn
    with pytest.raises(AttributeError, match="no top 'a'"):
        del n.a
    with pytest.raises(KeyError):
        n["a"]
    assert not hasattr(n, "something")


# assign_proto


def test_assigning() -> None:
    layer = pb.LayerParameter()
    for name, value in {
        "name": "x",
        "bottom": "one",
        "top": ("a", "b"),
        "loss_weight": np.array([1.5, 2.5]),
        "param": [dict(lr_mult=np.float32(0.5)), pb.ParamSpec(name="w")],
        "include": dict(stage=["s", "t"], phase="TEST"),
        "convolution_param": dict(num_output=np.int64(3), weight_filler=dict(type="xavier"), kernel_size=[3, 5]),
        "pooling_param": dict(pool=P.Pooling.AVE),
        "relu_param": {},
    }.items():
        net_spec.assign_proto(layer, name, value)
    wanted = """name: "x" bottom: "one" top: "a" top: "b" loss_weight: 1.5 loss_weight: 2.5
        param { lr_mult: 0.5 } param { name: "w" } include { stage: "s" stage: "t" phase: TEST }
        convolution_param { num_output: 3 weight_filler { type: "xavier" } kernel_size: 3 kernel_size: 5 }
        pooling_param { pool: AVE } relu_param { }"""
    assert layer == parse_text(wanted, pb.LayerParameter)[0]
    net_spec.assign_proto(layer, "bottom", [])
    assert list(layer.bottom) == ["one"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (
            dict(num_outputs=3),
            "ConvolutionParameter has no field 'num_outputs' (layer 'Convolution1' of type Convolution). "
            "Did you mean 'num_output'?",
        ),
        (dict(los_weight=3), "Did you mean 'loss_weight'?"),
        (dict(negative_slope=3), "ConvolutionParameter has no field 'negative_slope' (layer 'Convolution1'"),
        (dict(negative_slope=3), "It is a field of ReLUParameter."),
        (
            dict(convolution_param=dict(num_ouput=3)),
            "ConvolutionParameter has no field 'num_ouput' (layer 'Convolution1' of type Convolution). "
            "Did you mean 'num_output'?",
        ),
        (dict(num_output="three"), "ConvolutionParameter.num_output cannot be 'three'"),
        (dict(num_output=-1), "num_output cannot be -1"),
        (dict(weight_filler="xavier"), "weight_filler cannot be 'xavier': a dict with fields of FillerParameter"),
        (dict(convolution_param=3), "LayerParameter.convolution_param cannot be 3"),
    ],
)
def test_parameters_that_there_are_not(params: dict[str, object], says: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(says)):
        L.Convolution(L.DummyData(), **params).to_proto()


@pytest.mark.parametrize(
    ("type_name", "params", "says"),
    [
        (
            "Convolutionn",
            dict(num_output=3),
            "Unknown layer type 'Convolutionn' (layer 'top' .*Did you mean 'Convolution'",
        ),
        ("Permute", dict(permute_param=dict(order=1)), "Unknown layer type 'Permute' (layer 'top' .*of the SSD fork"),
    ],
)
def test_a_type_that_there_is_not_is_no_wrong_parameter(type_name: str, params: dict[str, Any], says: str) -> None:
    n = caffe.NetSpec()
    n.top = getattr(L, type_name)(L.DummyData(), **params)
    with pytest.raises(UnknownTypeError, match=says.replace("(", r"\(")):
        n.to_proto()


def test_param_name_dict() -> None:
    names = net_spec.param_name_dict()
    assert (names["Convolution"], names["InnerProduct"], names["HDF5Data"]) == (
        "convolution",
        "inner_product",
        "hdf5_data",
    )
    assert (names["Transformation"], names["Loss"], names["LRN"], names["ReLU"]) == ("transform", "loss", "lrn", "relu")


# The two makers.


def test_params_are_the_schemas_names() -> None:
    assert (P.Pooling.MAX, P.Pooling.AVE, P.Data.LMDB, P.Eltwise.PROD) == (0, 1, 1, 0)
    assert P.Loss.VALID == pb.LossParameter.VALID
    with pytest.raises(AttributeError, match="no PolingParameter. Did you mean 'Pooling'"):
        _ = P.Poling
    assert "Pooling" in dir(P)
    with pytest.raises(
        AttributeError,
        match=r"PoolingParameter has no value 'MAXX'. Did you mean 'MAX'\? "
        r"It has MAX, AVE, STOCHASTIC, DEFAULT, CAFFE, CUDNN, .*\.",
    ):
        _ = P.Pooling.MAXX
    assert "STOCHASTIC" in dir(P.Pooling)
    assert copy.copy(P.Pooling).AVE == 1
    assert not hasattr(P.InnerProduct, "MAX")


def test_layers_know_their_names_and_take_any() -> None:
    assert "Convolution" in dir(L)
    assert not hasattr(L, "_repr_html_")
    assert L.FromAFork(ntop=2)[1].fn.type_name == "FromAFork"
    with pytest.raises(TypeError, match="ReLU makes 2 tops in place of 1 inputs"):
        L.ReLU(L.Input(), ntop=2, in_place=True)
