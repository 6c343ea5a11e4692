"""What net.summary() says of layers that may fall back to numpy's, against the primitives that run."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import TEST, TRAIN
from pycaffe_lite.engines.onednn import _arrays
from pycaffe_lite.engines.onednn._direct import Direct
from pycaffe_lite.engines.onednn._primitive import Primitive
from tests.graph.nets import conv, fill, inputs, ip, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn")

IMAGES = inputs(x=(2, 16, 8, 8)) + conv("y", "x", outputs=16)
VECTORS = inputs(x=(3, 40)) + ip("y", "x", "y", 40)
RECURRENT = 'recurrent_param { num_output: %d weight_filler { type: "gaussian" std: 0.1 } }'


def last(before: str, kind: str, more: str = "", bottoms: str = "y", tops: str = "z") -> str:
    return before + layer("last", kind, bottoms, tops, more)


def sequence(num_output: int) -> str:
    before = inputs(x=(4, 4, 3), cont=(4, 4))
    return last(before, "LSTM", RECURRENT % num_output, "x cont", "z")


ENGINES = {
    "convolution": IMAGES + conv("last", "y"),
    "deconvolution": last(IMAGES, "Deconvolution", "convolution_param { num_output: 16 kernel_size: 3 }"),
    "3 axes": inputs(y=(2, 16, 8, 8, 8)) + conv("last", "y"),
    "inner product": VECTORS + ip("last", "y", "z", 40),
    "of few vectors and a large W": inputs(y=(3, 1000)) + ip("last", "y", "z", 500),
    "maxima": last(IMAGES, "Pooling", "pooling_param { kernel_size: 2 }"),
    "maxima and where they were": last(IMAGES, "Pooling", "pooling_param { kernel_size: 2 }", tops="z where"),
    "stochastic": last(IMAGES, "Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }"),
    "LRN": last(IMAGES, "LRN"),
    "LRN within a channel": last(IMAGES, "LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }"),
    "BatchNorm": last(IMAGES, "BatchNorm"),
    "BatchNorm of vectors": last(VECTORS, "BatchNorm"),
    "Scale": last(IMAGES, "Scale"),
    "Scale by the width": last(IMAGES, "Scale", "scale_param { axis: 3 }"),
    "Scale of vectors": last(VECTORS, "Scale"),
    "Scale by a bottom": inputs(s=(16,)) + last(IMAGES, "Scale", bottoms="y s").replace('"input"', '"input2"', 1),
    "Eltwise": last(IMAGES + conv("y2", "x", outputs=16), "Eltwise", bottoms="y y2") + conv("behind", "z"),
    "Eltwise of three": last(IMAGES + conv("y2", "x", outputs=16), "Eltwise", bottoms="y y2 y"),
    "product": last(IMAGES + conv("y2", "x", outputs=16), "Eltwise", "eltwise_param { operation: PROD }", "y y2"),
    "Concat": last(IMAGES + conv("y2", "x"), "Concat", bottoms="y y2"),
    "Concat of vectors": last(VECTORS + ip("y2", "x", "y2", 5), "Concat", bottoms="y y2"),
    "Split": last(IMAGES, "Split", tops="z z2"),
    "ReLU": last(IMAGES, "ReLU"),
    "few numbers": last(VECTORS, "Sigmoid"),
    "many numbers": last(inputs(y=(2, _arrays.MIN_COUNT)), "TanH"),
    "Softmax": last(VECTORS, "Softmax"),
    "Softmax over channels": last(IMAGES, "Softmax"),
    "LSTM": sequence(512),
    "small LSTM": sequence(5),
}


@pytest.mark.parametrize("phase", [TRAIN, TEST])
@pytest.mark.parametrize("text", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_it_runs(text: str, phase: int, dtype: type, ran: list[Primitive]) -> None:
    net = net_of(text, phase, dtype=dtype)
    said = {row.name: row.engine for row in net.summary().rows}["last"]
    fill(net)
    at = net._layer_index("last")
    net._forward(0, at - 1)
    ran.clear()
    net._forward(at, at)
    assert said == ("onednn" if ran else "")


def test_what_falls_back_computes_nothing_in_its_pass() -> None:
    relu = layer("relu", "ReLU", "z", "z")
    few, more = (net_of(inputs(x=(n, 1000)) + ip("ip", "x", "z", 500) + relu, TEST) for n in (3, 100))
    assert [row.engine for row in few.summary().rows] == ["", "", ""]
    assert [row.engine for row in more.summary().rows] == ["", "onednn", "onednn, in ip"]


def test_convolutions_without_a_fast_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Direct, "_describe", lambda made, what: iter(()))
    net = net_of(IMAGES + layer("relu", "ReLU", "y", "y"), TEST)
    assert not any(row.engine for row in net.summary().rows)


def test_shapes_are_the_present_ones() -> None:
    net = net_of(last(inputs(y=(3, 40)), "TanH"))
    net.blobs["y"].reshape(3, _arrays.MIN_COUNT)
    net.reshape()
    assert net.summary().rows[-1].engine == "onednn"


def test_the_table_says_that_it_is_about_forward_passes() -> None:
    assert "Engine: who computes the forward pass." in str(net_of(VECTORS).summary())
