"""A net with one convolution, and what both of its passes give."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import pycaffe_lite as caffe
from pycaffe_lite._typing import Array

NET = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: NUM dim: CHANNELS dim: HEIGHT dim: WIDTH } } }
layer { name: "target" type: "Convolution" bottom: "x" top: "target"
        convolution_param { num_output: 24 PARAMS
                            weight_filler { type: "xavier" } bias_filler { type: "gaussian" } } }
"""
RELU = 'layer { name: "relu" type: "ReLU" bottom: "target" top: "target" }'
NORM = """
layer { name: "norm" type: "BatchNorm" bottom: "target" top: "target" }
layer { name: "scale" type: "Scale" bottom: "target" top: "target" scale_param { bias_term: true } }
"""
THREE = "kernel_size: 3 pad: 1 "


def build(folder: Path, shape: tuple[int, ...], params: str = THREE, behind: str = "", **options: object) -> caffe.Net:
    text = NET.replace("PARAMS", params) + behind
    for name, size in zip(("NUM", "CHANNELS", "HEIGHT", "WIDTH"), shape, strict=True):
        text = text.replace(name, str(size))
    (folder / "net.prototxt").write_text(text)
    phase = options.pop("phase", caffe.TRAIN)
    net = caffe.Net(folder / "net.prototxt", phase, seed=3, **options)  # type: ignore[arg-type]
    rng = np.random.default_rng(5)
    for name in net.params.keys() & {"norm", "scale"}:
        for blob in net.params[name]:
            blob.data[...] = rng.uniform(0.5, 2, blob.shape)
    return net


def twins(
    folder: Path, shape: tuple[int, ...], params: str = THREE, behind: str = "", **options: object
) -> tuple[caffe.Net, caffe.Net]:
    """The net, and the same in float64."""
    net, exact = (build(folder, shape, params, behind, **options, dtype=dtype) for dtype in (np.float32, np.float64))
    for name, blobs in net.params.items():
        for blob, twin in zip(blobs, exact.params[name], strict=True):
            twin.data[...] = blob.data
    return net, exact


def run(net: caffe.Net, x: Array) -> dict[str, Array]:
    """The numbers after both passes."""
    net.blobs["x"].data[...] = x
    net.forward()
    net.backward(target=np.random.default_rng(7).normal(size=net.blobs["target"].shape))
    found = {"y": net.blobs["target"].data, "dx": net.blobs["x"].diff}
    return found | {f"dw {j}": blob.diff for j, blob in enumerate(net.params["target"])}


def assert_close(got: dict[str, Array], want: dict[str, Array]) -> None:
    for name, numbers in want.items():
        limit = 5e-5 * max(1, np.abs(numbers).max())
        np.testing.assert_allclose(got[name], numbers, rtol=0, atol=limit, err_msg=name)
