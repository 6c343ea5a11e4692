from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import plot
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import MissingPackageError, ParameterError, ShapeError, UnknownNameError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text

pytest.importorskip("matplotlib")

NET = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 7 } } }
layer { name: "color" type: "Convolution" bottom: "data" top: "color"
        convolution_param { num_output: 5 kernel_h: 4 kernel_w: 2 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "deep" type: "Convolution" bottom: "color" top: "deep"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "gray" type: "Convolution" bottom: "color" top: "gray"
        convolution_param { num_output: 5 group: 5 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "point" type: "Convolution" bottom: "deep" top: "point"
        convolution_param { num_output: 6 kernel_size: 1 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "point" top: "ip"
        inner_product_param { num_output: 11 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "flat" type: "InnerProduct" bottom: "ip" top: "flat"
        inner_product_param { num_output: 13 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "relu" type: "ReLU" bottom: "flat" top: "flat" }
"""


@pytest.fixture
def net() -> caffe.Net:
    return caffe.Net(parse_text(NET, pb.NetParameter)[0], caffe.TEST, seed=3)


def picture(figure: Any) -> Array:
    return np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)


def test_gray_filters_are_tiles_in_order(net: caffe.Net) -> None:
    sheet = picture(plot.filters(net, "gray"))
    weights = net.params["gray"][0].data
    assert sheet.shape == (2 * 4 + 1, 3 * 4 + 1)
    np.testing.assert_allclose(sheet[1:4, 5:8], weights[1, 0])
    np.testing.assert_allclose(sheet[5:8, 1:4], weights[3, 0])
    assert np.isnan(sheet[:, 4]).all()
    assert np.isnan(sheet[5:8, 9:12]).all()  # there is no sixth


def test_filters_of_three_channels_are_in_colour(net: caffe.Net) -> None:
    weights = net.params["color"][0].data
    scaled = (weights - weights.min()) / (weights.max() - weights.min())
    sheet = picture(plot.filters(net, "color"))
    np.testing.assert_allclose(sheet[1:5, 1:3], scaled[0, ::-1].transpose(1, 2, 0), rtol=1e-5)
    np.testing.assert_allclose(
        picture(plot.filters(net, "color", bgr=False))[1:5, 1:3], scaled[0].transpose(1, 2, 0), rtol=1e-5
    )


def test_filters_of_many_channels_are_rows(net: caffe.Net) -> None:
    sheet = picture(plot.filters(net, "deep"))
    assert sheet.shape == (4 * 4 + 1, 5 * 4 + 1)
    np.testing.assert_allclose(sheet[13:16, 5:8], net.params["deep"][0].data[3, 1])


def test_rows_of_an_inner_product_are_filters_where_its_bottom_has_height_and_width(net: caffe.Net) -> None:
    sheet = picture(plot.filters(net, "ip"))
    weights = net.params["ip"][0].data.reshape(11, 6, 4, 4)
    np.testing.assert_allclose(sheet[6:10, 11:15], weights[1, 2])
    np.testing.assert_allclose(picture(plot.filters(net, "flat")), net.params["flat"][0].data)
    np.testing.assert_allclose(picture(plot.filters(net, "point")), net.params["point"][0].data[:, :, 0, 0])


def test_a_bias_is_bars(net: caffe.Net) -> None:
    net.params["ip"][1].data[...] = np.arange(11)
    assert [bar.get_height() for bar in plot.filters(net, "ip", 1).axes[0].patches] == list(range(11))


def test_activations(net: caffe.Net) -> None:
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(size=(2, 3, 9, 7))
    net.forward()
    sheet = picture(plot.activations(net, "deep", 1))
    np.testing.assert_allclose(sheet[1:5, 1:5], net.blobs["deep"].data[1, 0])
    bars = plot.activations(net, "flat", -1).axes[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], net.blobs["flat"].data[1])
    assert plot.activations(net, "deep", -1).axes[0].get_title() == "deep: item 1, 4 × 4 × 4"


def test_what_is_no_number_is_told(net: caffe.Net) -> None:
    net.blobs["data"].data[...] = 1
    net.blobs["data"].data[0, 2, 3, :2] = np.nan, np.inf
    figure = plot.activations(net, "data")
    assert "2 NaN or infinite" in figure.axes[0].get_title()
    figure.canvas.draw()


def test_what_is_wrong_is_said(net: caffe.Net, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'color'"):
        plot.filters(net, "colour")
    with pytest.raises(UnknownNameError, match="no layer with parameters 'relu'"):
        plot.filters(net, "relu")
    with pytest.raises(ParameterError, match=r"no blob 2. It has 2"):
        plot.filters(net, "deep", 2)
    with pytest.raises(ParameterError, match=r"'deep' has no data yet. Run net.forward"):
        plot.activations(net, "deep")
    net.forward()
    with pytest.raises(UnknownNameError, match="Did you mean 'deep'"):
        plot.activations(net, "depp")
    with pytest.raises(ShapeError, match="no item 2. It has 2"):
        plot.activations(net, "deep", 2)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingPackageError, match=r"pycaffe-lite\[plot\]"):
        plot.filters(net, "deep")


def test_figures_are_let_go_where_there_are_no_windows(net: caffe.Net) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = pyplot.get_fignums()
    plot.filters(net, "deep")
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize("layer", ["color", "ip"])
def test_names_are_no_formulas(layer: str) -> None:
    net = caffe.Net(parse_text(NET.replace(f'name: "{layer}"', 'name: "$x_1^$"'), pb.NetParameter)[0], caffe.TEST)
    plot.filters(net, "$x_1^$").savefig(io.BytesIO())
