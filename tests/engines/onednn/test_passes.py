"""Layers of one bottom and one top leave notes for their backward passes only where there are such."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.engines.onednn._library import library

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 16 dim: 9 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
        convolution_param { num_output: 32 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "norm" type: "LRN" bottom: "pool" top: "norm" lrn_param { local_size: 3 alpha: 0.5 } }
"""


@pytest.mark.usefixtures("onednn")
def test_notes_only_where_there_is_a_backward_pass(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(2, 16, 9, 8))
    nets = {}
    for name, text in (("alone", NET), ("both", "force_backward: true" + NET)):
        (tmp_path / f"{name}.prototxt").write_text(text)
        nets[name] = net = caffe.Net(tmp_path / f"{name}.prototxt", caffe.TEST, seed=1)
        net.blobs["x"].data[...] = x
        net.forward()
        notes = {layer for layer, made in net.layer_dict.items() if "workspace" in made._scratch_arrays}
        assert notes == (set() if name == "alone" else {"pool", "norm"} if library().has_avx512 else {"pool"})
    np.testing.assert_array_equal(nets["alone"].blobs["norm"].data, nets["both"].blobs["norm"].data)

    caffe.set_engine("numpy")
    expected = caffe.Net(tmp_path / "both.prototxt", caffe.TEST, seed=1)
    expected.blobs["x"].data[...] = x
    for net in (nets["both"], expected):
        net.forward()
        net.blobs["norm"].diff[...] = np.random.default_rng(1).normal(size=net.blobs["norm"].shape)
        net.backward()
    for name in ("x", "conv"):
        np.testing.assert_allclose(
            nets["both"].blobs[name].diff, expected.blobs[name].diff, rtol=1e-4, atol=1e-5, err_msg=name
        )


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("size", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("channels", [8, 16, 17, 24, 32])
def test_lrn_of_all_sizes(tmp_path: Path, size: int, channels: int) -> None:
    """Version 3.2's own backward pass fails for some."""
    (tmp_path / "net.prototxt").write_text(
        f"""force_backward: true
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: {channels} dim: 5 dim: 6 }} }} }}
layer {{ name: "y" type: "LRN" bottom: "x" top: "y" lrn_param {{ local_size: {size} alpha: 1 }} }}"""
    )
    nets = []
    for engine in ("numpy", "onednn"):
        caffe.set_engine(engine)
        nets.append(caffe.Net(tmp_path / "net.prototxt", caffe.TRAIN))
        nets[-1].blobs["x"].data[...] = np.random.default_rng(0).normal(size=(2, channels, 5, 6))
        nets[-1].forward()
        nets[-1].blobs["y"].diff[...] = np.random.default_rng(1).normal(size=(2, channels, 5, 6))
        nets[-1].backward()
    for name, what in (("y", "data"), ("x", "diff")):
        got, want = (getattr(net.blobs[name], what) for net in nets)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
