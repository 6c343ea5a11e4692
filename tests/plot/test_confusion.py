from __future__ import annotations

import io

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import plot
from pycaffe_lite.errors import GraphError, ParameterError, ShapeError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text

pytest.importorskip("matplotlib")

NET = """
layer { name: "in" type: "Input" top: "scores" top: "label"
        input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "accuracy" type: "Accuracy" bottom: "scores" bottom: "label" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }
"""


def test_rows_are_the_truth() -> None:
    axes = plot.confusion([0, 0, 0, 0, 2, 2], [0, 0, 0, 1, 2, 1], names=["cat", "dog", "bird"]).axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 0, 0], [0, 0.5, 0.5]])
    assert {(t.get_position(), t.get_text()) for t in axes.texts} == {
        ((0, 0), "3"),
        ((1, 0), "1"),
        ((1, 2), "1"),
        ((2, 2), "1"),
    }
    assert [t.get_text() for t in axes.get_yticklabels()] == ["cat", "dog", "bird"]
    assert axes.get_title() == "66.67% of 6 right"


def test_scores_and_shares() -> None:
    axes = plot.confusion([1, 1, 0], [[0.1, 0.7, 0, 0], [0.2, 0.1, 0, 0], [3, 2, 1, 0]], normalise=True).axes[0]
    assert axes.images[0].get_array().shape == (4, 4)
    assert {(t.get_position(), t.get_text()) for t in axes.texts} == {((0, 0), "100"), ((0, 1), "50"), ((1, 1), "50")}


def test_many_classes_have_no_numbers() -> None:
    axes = plot.confusion(np.arange(40), np.arange(40)).axes[0]
    assert not axes.texts


def test_predictions_of_a_net() -> None:
    net = caffe.Net(parse_text(NET, pb.NetParameter)[0], caffe.TEST)
    net.blobs["scores"].data[...] = [[1, 2, 0], [3, 2, 0], [0, 0, 5], [1, 0, 0]]
    net.blobs["label"].data[...] = [1, 2, 2, 0]
    truth, taken = plot.predictions(net, 2)
    np.testing.assert_array_equal(truth, [1, 2, 2, 0] * 2)
    np.testing.assert_array_equal(taken, [1, 0, 2, 0] * 2)
    with pytest.raises(ShapeError, match=r"'label' \(4,\) does not have classes on axis 1"):
        plot.predictions(net, scores="label", labels="scores")
    bare = caffe.Net(parse_text(NET.split('layer { name: "acc')[0], pb.NetParameter)[0], 1)
    with pytest.raises(GraphError, match="Name them"):
        plot.predictions(bare)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ShapeError, match="3 true labels, and 2 predicted"):
        plot.confusion([0, 1, 2], [0, 1])
    with pytest.raises(ParameterError, match="truth label is -1"):
        plot.confusion([0, -1], [0, 1])
    with pytest.raises(ParameterError, match=r"predicted label is 0\.5"):
        plot.confusion([0, 1], [0, 0.5])
    with pytest.raises(ParameterError, match="2 names, and labels up to 2"):
        plot.confusion([0, 2], [0, 1], names=["a", "b"])
    with pytest.raises(ShapeError, match="no truth labels"):
        plot.confusion([], [])


def test_names_are_no_formulas() -> None:
    plot.confusion([0, 1], [0, 1], names=["$\\no$", "$x_1^$"]).savefig(io.BytesIO())
