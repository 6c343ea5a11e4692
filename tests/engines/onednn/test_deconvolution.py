"""Deconvolution between convolutions, where the channels lie innermost, against numpy's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import engines
from pycaffe_lite.order import Order, order_of

NET = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 5 dim: 7 dim: 6 } } }
layer { name: "before" type: "Convolution" bottom: "x" top: "before"
        convolution_param { num_output: 32 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "target" type: "Deconvolution" bottom: "before" top: "target"
        convolution_param { PARAMS weight_filler { type: "xavier" } bias_filler { type: "gaussian" } } }
layer { name: "after" type: "Convolution" bottom: "target" top: "after"
        convolution_param { num_output: 17 kernel_size: 1 weight_filler { type: "xavier" } } }
"""


def run(folder: Path, params: str, engine: str) -> caffe.Net:
    """The net after two forward passes and two backward passes, whose gradients add up."""
    engines.set_engine(engine)
    (folder / "net.prototxt").write_text(NET.replace("PARAMS", params))
    net, rng = caffe.Net(folder / "net.prototxt", caffe.TRAIN, seed=2), np.random.default_rng(4)
    for _ in range(2):
        net.blobs["x"].data[...] = rng.normal(size=net.blobs["x"].shape)
        net.forward()
        net.backward(after=rng.normal(size=net.blobs["after"].shape))
    return net


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize(
    "params",
    [
        "num_output: 48 kernel_size: 4 stride: 2 pad: 1",
        "num_output: 32 kernel_size: 4 stride: 2 group: 32 bias_term: false",
        "num_output: 64 kernel_h: 3 kernel_w: 2 stride: 2 group: 2",
        "num_output: 16 kernel_size: 2 stride: 3",
        "num_output: 16 kernel_size: 3 dilation: 2",
    ],
)
def test_as_numpy(tmp_path: Path, params: str) -> None:
    net, want = (run(tmp_path, params, engine) for engine in ("onednn", "numpy"))
    assert order_of(net.blobs["target"].stored("data")) is Order.CHANNELS_INNERMOST
    assert order_of(net.blobs["before"].stored("diff")) is Order.CHANNELS_INNERMOST
    blobs = [*net.blobs.values(), *net.learnable.blobs]
    for got, blob in zip(blobs, [*want.blobs.values(), *want.learnable.blobs], strict=True):
        for a, b in ((got.data, blob.data), (got.diff, blob.diff)):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(1, np.abs(b).max()), err_msg=got.name)
