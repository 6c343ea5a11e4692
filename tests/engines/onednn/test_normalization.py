"""BatchNorm and Scale between convolutions, where the channels lie innermost, against numpy's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import engines
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn import _normalization
from pycaffe_lite.engines.onednn._normalization import GIVEN_STATISTICS, SCALE, NormalizationInGroups

LAYERS = """
layer { name: "norm" type: "BatchNorm" bottom: "conv1" top: "TOP" batch_norm_param { PARAMS } }
layer { name: "scale" type: "Scale" bottom: "TOP" top: "scale"
        scale_param { bias_term: BIAS filler { type: "uniform" min: -2 max: 2 } bias_filler { type: "gaussian" } } }
"""
NET = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 16 dim: 7 dim: 5 } } }
layer { name: "conv1" type: "Convolution" bottom: "x" top: "conv1"
        convolution_param { num_output: CHANNELS kernel_size: 3 weight_filler { type: "xavier" } } }
LAYERS
layer { name: "conv2" type: "Convolution" bottom: "scale" top: "conv2"
        convolution_param { num_output: 17 kernel_size: 1 weight_filler { type: "xavier" } } }
"""


def run(folder: Path, text: str, engine: str, phase: int) -> caffe.Net:
    """The net after two forward passes over different data and a backward pass."""
    engines.set_engine(engine)
    (folder / "net.prototxt").write_text(text)
    net = caffe.Net(folder / "net.prototxt", phase, seed=2)
    rng = np.random.default_rng(4)
    for blob, value in zip(
        net.params["norm"], (rng.normal(size=blob_shape(net)), rng.random(blob_shape(net)), 0.7), strict=True
    ):
        blob.data[...] = value
    for _ in range(2):
        net.blobs["x"].data[...] = rng.normal(2, 3, net.blobs["x"].shape)
        net.forward()
    net.backward(conv2=rng.normal(size=net.blobs["conv2"].shape))
    return net


def blob_shape(net: caffe.Net) -> tuple[int, ...]:
    return net.params["norm"][0].shape


@pytest.mark.parametrize("channels", [16, 20, 3])
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
@pytest.mark.parametrize("params", ["eps: 0.01", "use_global_stats: true", "use_global_stats: false"])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("bias", ["true", "false"])
def test_as_numpy(tmp_path: Path, channels: int, phase: int, params: str, in_place: bool, bias: str, sums: str) -> None:
    layers = LAYERS.replace("TOP", "conv1" if in_place else "norm").replace("PARAMS", params).replace("BIAS", bias)
    text = NET.replace("CHANNELS", str(channels)).replace("LAYERS", layers)
    net, want = (run(tmp_path, text, engine, phase) for engine in ("onednn", "numpy"))
    used = [made for name in ("norm", "scale") for made in net.layer_dict[name]._made.values() if made.fast]
    assert len(used) >= 2
    assert any(isinstance(made, NormalizationInGroups) for made in used) is (sums == "in groups")
    for name, blobs in want.params.items():
        for got, blob in zip(net.params[name], blobs, strict=True):
            close(got, blob, name)
    for name, blob in want.blobs.items():
        close(net.blobs[name], blob, name)


def close(got: Blob, want: Blob, name: str) -> None:
    for a, b in ((got.data, want.data), (got.diff, want.diff)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(1, np.abs(b).max()), err_msg=name)


@pytest.mark.usefixtures("onednn")
def test_groups_find_no_statistics_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, make = list[int](), _normalization.Normalization
    monkeypatch.setattr(_normalization, "Normalization", lambda *a: asked.append(a[2]) or make(*a))
    NormalizationInGroups((2, 16, 32, 32), 1e-5, SCALE)
    assert {flags & GIVEN_STATISTICS for flags in asked} == {0, GIVEN_STATISTICS}
    asked.clear()
    assert NormalizationInGroups((2, 16, 32, 32), 1e-5, SCALE | GIVEN_STATISTICS).fast
    assert {flags & GIVEN_STATISTICS for flags in asked} == {GIVEN_STATISTICS}
