"""Gradients of weights of convolutions in tiles as products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.engines.onednn import _winograd
from pycaffe_lite.engines.onednn._in_tiles import InTiles
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._tile_products import Padded, Products
from pycaffe_lite.engines.onednn._winograd import Cut
from pycaffe_lite.layers._im2col import Geometry
from tests.engines.onednn.nets import THREE, assert_close, build, run, twins


@pytest.mark.usefixtures("by_products")
@pytest.mark.parametrize("chunk", [0, 40_000, 1 << 22])
@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ((2, 16, 8, 10), THREE),
        ((3, 16, 5, 7), THREE + "bias_term: false"),
        ((1, 18, 13, 4), THREE + "group: 2"),
        ((2, 16, 9, 6), "kernel_size: 3"),
        ((3, 20, 12, 12), "kernel_size: 5"),
        ((2, 16, 7, 6), "kernel_size: 5 pad: 2 group: 2"),
        ((2, 16, 6, 9), "kernel_h: 3 pad_h: 1 stride_h: 1 kernel_w: 1 pad_w: 0 stride_w: 1"),
        ((2, 16, 3, 5), "kernel_size: 3 pad: 2"),
        ((2, 16, 6, 9), "kernel_h: 3 pad_h: 1 stride_h: 1 kernel_w: 4 pad_w: 0 stride_w: 1"),
        ((2, 16, 6, 9), "kernel_h: 3 kernel_w: 4 stride: 1 auto_pad: SAME"),
        ((2, 16, 6, 9), "kernel_h: 3 kernel_w: 3 pad_h: 1 pad_w: 2 dilation: 1 dilation: 2"),
    ],
)
def test_gradients_of_weights_by_products(
    tmp_path: Path, shape: tuple[int, ...], params: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in float64, whatever is in the memory that others work in too."""
    monkeypatch.setattr(_winograd, "CHUNK", chunk)
    net, exact = twins(tmp_path, shape, params)
    x = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    primitives = net.layer_dict["target"]._primitives
    if (made := primitives.backward_weights()) is not None:  # or numpy's, where oneDNN lacks kernels for this processor
        assert all(isinstance(steps, Products) for _, steps in made._each())
        padded = Padded.of(primitives._cut)
        assert (primitives.backward() is None) is bool(padded.x.behind or padded.y.behind)
    for value in (np.nan, 1e30):
        library().workspace(1 << 20).view(np.float32).fill(value)
        got, want = run(net, x), run(exact, x)
        assert_close(got, want)
        net.clear_param_diffs()
        exact.clear_param_diffs()


@pytest.mark.usefixtures("by_products")
def test_a_stride_along_the_width_is_left_to_convolutions(tmp_path: Path) -> None:
    net = build(tmp_path, (1, 16, 6, 9), "kernel_h: 5 pad_h: 4 stride_h: 1 kernel_w: 3 pad_w: 0 stride_w: 2")
    found = net.layer_dict["target"]._primitives.backward_weights()
    assert found is None or not any(isinstance(steps, Products) for _, steps in found._each())


@pytest.mark.usefixtures("onednn")
def test_when_products_pay() -> None:
    """Where zeros behind rows are few; with AVX-512 never."""

    def is_so(width: int, pad: int, pad_above: int = 2) -> bool:
        windows = Geometry((5, 5), (1, 1), (pad_above, pad), (1, 1))
        x, y = (8, 32, 16, width), (8, 32, 12 + 2 * pad_above, width + 2 * pad - 4)
        cut = Cut(x, (32, 32, 5, 5), y, windows)
        return Padded.of(cut).pays(cut.parts)

    assert is_so(28, 2) is is_so(28, 2, pad_above=0) is not library().has_avx512
    assert not is_so(12, 0)
    assert not is_so(8, 2)


@pytest.mark.usefixtures("onednn")
def test_where_other_passes_go_by_windows(tmp_path: Path) -> None:
    """Gradients of W alone, where W learns; with AVX-512 none."""
    found, threads = [], library().threads
    try:
        caffe.set_num_threads(1)
        for phase in (caffe.TRAIN, caffe.TEST):
            made = build(tmp_path, (16, 24, 56, 28), phase=phase).layer_dict["target"]._primitives
            passes = made.forward(), made.backward_data(), made.backward_weights()
            found.append([isinstance(run, InTiles) for run in passes])
            assert made.backward() is None
    finally:
        caffe.set_num_threads(threads)
    assert found == [[False, False, not library().has_avx512], [False] * 3]
