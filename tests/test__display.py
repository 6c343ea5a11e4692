from __future__ import annotations

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import _display
from pycaffe_lite.blob import Blob
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 7 } } }
layer { name: "noise" type: "DummyData" top: "target" dummy_data_param { shape { dim: 2 dim: 11 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" param { lr_mult: 2 }
        inner_product_param { num_output: 11 weight_filler { type: "gaussian" std: 0.01 } bias_filler { value: 0.5 } } }
layer { name: "sum" type: "Eltwise" bottom: "ip" bottom: "target" top: "sum"
        eltwise_param { operation: SUM coeff: 0.5 coeff: -1 } }
layer { name: "drop" type: "Dropout" bottom: "sum" top: "sum" dropout_param { dropout_ratio: 0.3 } }
"""


def small() -> caffe.Net:
    return caffe.Net(parse_text(NET, pb.NetParameter)[0], caffe.TRAIN)


def blob_of(values: object, name: str = "x") -> Blob:
    array = np.asarray(values, np.float32)
    blob = Blob(array.shape, name=name)
    blob.data[...] = array
    return blob


def test_a_blob_shows_name_shape_type_and_what_is_in_it() -> None:
    blob = blob_of([[-2.1, 0, 1], [2.9, 0.5, 0]], "conv1")
    assert repr(blob) == "conv1 (2, 3) float32 · data mean 0.383 std 1.48 min -2.1 max 2.9"
    blob.diff[0, :2] = -1.5e-3, 3e-4
    assert repr(blob).endswith("max 2.9 · diff |·| 3e-4")


def test_a_look_takes_no_memory() -> None:
    blob = Blob((10**6, 10**6), name="huge")
    assert repr(blob) == "huge (1000000, 1000000) float32 · no data yet"
    assert not blob._data.allocated
    assert not blob._diff.allocated
    blob.set_loss_weight(0.5)
    assert repr(blob).endswith("no data yet · diff 0.5")
    assert not blob._diff.allocated


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (2.302592, "x () float32 · data 2.30259"),
        ([8801], "x (1,) float32 · data 8801"),
        ([3, 3, 3], "x (3,) float32 · data all 3"),
        ([0, 1, 9, 5], "x (4,) float32 · data mean 3.75 std 3.56 min 0 max 9"),
        ([[], []], "x (2, 0) float32 · empty"),
        ([np.nan], "x (1,) float32 · data 1 NaN"),
        ([np.nan, 1, -np.inf, 2, np.nan], "x (5,) float32 · data 2 NaN 1 inf mean 1.5 std 0.5 min 1 max 2"),
        ([np.inf, 4, 4], "x (3,) float32 · data 1 inf others 4"),
    ],
)
def test_unusual_blobs(values: object, text: str) -> None:
    assert repr(blob_of(values)) == text


def test_a_gradient_that_blew_up_is_seen() -> None:
    blob = blob_of([1, 2, 3])
    blob.diff[...] = np.nan, 3, -5
    assert repr(blob).endswith("diff 1 NaN |·| 4")
    blob.diff[...] = np.inf
    assert repr(blob).endswith("diff 3 inf")


def test_a_blob_without_a_name() -> None:
    assert repr(Blob((2, 3), np.float64)) == "Blob (2, 3) float64 · no data yet"


def test_a_parameter_is_named_after_its_layer() -> None:
    assert repr(small().params["ip"][1]) == "ip[1] (11,) float32 · data all 0.5"


def test_html_is_escaped() -> None:
    assert blob_of([1, 2], "<a>")._repr_html_().startswith("<code>&lt;a&gt; (2,)")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("data", "Input shape=(2, 3, 5, 7)"),
        (
            "ip",
            "InnerProduct num_output=11 weight_filler=gaussian(std=0.01) bias_filler=constant(value=0.5)"
            " · blobs (11, 105) (11,)",
        ),
        ("sum", "Eltwise operation=SUM coeff=[0.5, -1]"),
        ("drop", "Dropout dropout_ratio=0.3"),
    ],
)
def test_a_layer_shows_what_its_message_sets_and_what_it_learns(name: str, line: str) -> None:
    assert _display.layer_line(small().layer_dict[name]) == line


def test_a_layer_with_texts_and_messages_within() -> None:
    message, _ = parse_text(
        """type: "Data" data_param { source: "a b" batch_size: 3 backend: LMDB }
                               transform_param { mirror: true mean_value: 104 mean_value: 117 }""",
        pb.LayerParameter,
    )
    layer = caffe.Layer(message)
    layer.type = "Data"
    assert _display.layer_line(layer) == (
        "Data mirror=True mean_value=[104, 117] source='a b' batch_size=3 backend=LMDB"
    )


def test_a_net_shows_what_goes_in_and_what_comes_out() -> None:
    assert repr(small()).splitlines() == [
        "small · TRAIN · 5 layers · 1,166 parameters",
        "  in   data    (2, 3, 5, 7)",
        "  in   target  (2, 11)       from DummyData 'noise'",
        "  out  sum     (2, 11)",
    ]


def test_a_net_without_name_and_layers() -> None:
    assert repr(caffe.Net(pb.NetParameter(), caffe.TEST)) == "Net · TEST · 0 layers · 0 parameters"
