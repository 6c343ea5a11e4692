"""Gradients of W in oneDNN's blocks, as they are made without AVX-512, against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.engines.onednn import _direct, _in_groups
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._winograd import Cut
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn")


@pytest.mark.parametrize("has_avx512", [False, True])
@pytest.mark.parametrize("most_places", [1, 300, 1 << 16])
@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ((6, 3, 20, 17), "num_output: 20 kernel_size: 5 stride: 2 pad: 2"),
        ((6, 1, 12, 14), "num_output: 7 kernel_size: 3 bias_term: false"),
        ((4, 18, 9, 7), "num_output: 20 kernel_size: 3 pad: 1"),
        ((4, 16, 9, 7), "num_output: 24 kernel_size: 3 group: 2"),
        ((6, 24, 5, 8), "num_output: 40 kernel_size: 1"),
        ((6, 24, 5, 8), "num_output: 16 kernel_size: 1 stride: 2 bias_term: false"),
    ],
)
def test_as_numpy(
    shape: tuple[int, ...], params: str, most_places: int, has_avx512: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few images at a time or all, and when they are added to what is there."""
    monkeypatch.setattr(library(), "has_avx512", has_avx512)
    for name, value in (("MANY_PRODUCTS", 0), ("WIDE", 1)):
        monkeypatch.setattr(_direct, name, value)
    monkeypatch.setattr(_in_groups, "MOST_PLACES", most_places)
    monkeypatch.setattr(_in_groups, "LEAST_PLACES", 1)
    monkeypatch.setattr(Cut, "pays", lambda *_, **__: False)
    text = inputs(x=shape) + layer(
        "target", "Convolution", "x", "y", f'convolution_param {{ weight_filler {{ type: "xavier" }} {params} }}'
    )
    nets = []
    for engine in ("onednn", "numpy"):
        caffe.set_engine(engine)
        net = net_of("force_backward: true\n" + text, caffe.TRAIN, seed=1)
        rng = np.random.default_rng(3)
        for _ in range(2):
            net.blobs["x"].data[...] = rng.normal(size=shape)
            net.forward()
            net.backward(y=rng.normal(size=net.blobs["y"].shape))
        nets.append(net)
    assert nets[0].layer_dict["target"]._primitives._in_blocks is not has_avx512
    for got, want in zip(*(net.params["target"] for net in nets), strict=True):
        np.testing.assert_allclose(got.diff, want.diff, rtol=1e-4, atol=1e-5 * np.abs(want.diff).max())
