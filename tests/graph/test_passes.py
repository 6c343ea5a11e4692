"""Passes whose shapes have changed in between, or that somebody has interrupted."""

from __future__ import annotations

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layer import Blobs
from tests.graph.nets import conv, inputs, ip, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("engine")
FORCED = "force_backward: true\n"
NET = (
    FORCED
    + inputs(x=(4, 3, 12, 12))
    + conv("a", "x", 16)
    + conv("b", "a", 16)
    + layer("p", "Pooling", "b", "p", "pooling_param { kernel_size: 2 }")
)


def ready(text: str = NET) -> caffe.Net:
    net = net_of(text, caffe.TRAIN, seed=1)
    net.blobs["x"].data[...] = np.random.default_rng(2).normal(size=net.blobs["x"].shape)
    net.forward()
    net.backward()
    return net


def test_backward_wants_the_shapes_of_the_last_forward_pass() -> None:
    """oneDNN would write where the larger blobs were."""
    net = ready()
    net.blobs["x"].reshape(1, 3, 8, 8)
    net.forward(end="a")
    with pytest.raises(ShapeError, match=r"bottom 0 has shape \(1, 16, 8, 8\), .* had \(4, 16, 12, 12\) \(layer 'b'"):
        net.backward()
    net.backward(start="a")
    net.forward()
    net.backward()
    assert net.blobs["x"].diff.shape == (1, 3, 8, 8)


@pytest.mark.parametrize(("name", "says"), [("a", "top 0 .* layer 'a'"), ("p", "top 0 .* layer 'p'")])
def test_a_blob_between_that_somebody_has_reshaped(name: str, says: str) -> None:
    net = ready()
    shape = net.blobs[name].shape
    net.blobs[name].reshape(1, 2, 2, 2)
    with pytest.raises(ShapeError, match=says.replace(" .* ", r" has shape \(1, 2, 2, 2\), .* had .*")):
        net.backward(end="a" if name == "a" else "p", start="a" if name == "a" else "p")
    net.blobs[name].reshape(*shape)
    net.backward()


def test_a_top_that_forward_gives_its_shape() -> None:
    text = FORCED + inputs(x=(4, 3), s=(4,)) + ip("a", "x", "y", 2) + layer("f", "Filter", "y s", "z")
    net = net_of(text, caffe.TRAIN)
    for keep in ([1, 0, 1, 1], [0, 1, 0, 0]):
        net.blobs["s"].data[...] = keep
        net.forward()
        net.blobs["z"].diff[...] = 1
        net.backward()
        np.testing.assert_array_equal(net.blobs["y"].diff, np.repeat(keep, 2).reshape(4, 2))


class Interrupted(BaseException):
    """As by Ctrl-C."""


def test_an_interrupted_reshape_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_of(FORCED + inputs(a=(4, 3), b=(4, 3)) + layer("loss", "EuclideanLoss", "a b", "loss"), caffe.TRAIN)
    loss = type(net.layer_dict["loss"])
    real = loss.reshape

    def forward(num: int) -> float:
        for name in net.inputs:
            net.blobs[name].reshape(num, 3)
        net.blobs["a"].data[...] = 2
        return float(net.forward()["loss"])

    def interrupted(self: caffe.Layer, bottom: Blobs, top: Blobs) -> None:
        real(self, bottom, top)
        raise Interrupted

    assert forward(4) == 6
    monkeypatch.setattr(loss, "reshape", interrupted)
    with pytest.raises(Interrupted):
        forward(2)
    monkeypatch.undo()
    with pytest.raises(ShapeError, match="last reshape did not come to its end"):
        net.backward()
    assert [forward(4), forward(2), forward(4)] == [6, 6, 6]
