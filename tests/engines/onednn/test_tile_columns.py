"""Convolutions of tiles along the width as products, column by column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.engines.onednn import _winograd
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._tile_columns import Columns, columns_pay
from pycaffe_lite.engines.onednn._tile_steps import Convolutions
from pycaffe_lite.engines.onednn._winograd import Cut
from pycaffe_lite.layers._im2col import Geometry
from tests.engines.onednn.nets import NORM, RELU, THREE, assert_close, build, run, twins


@pytest.mark.usefixtures("by_columns")
@pytest.mark.parametrize("behind", ["", NORM + RELU])
@pytest.mark.parametrize("chunk", [0, 40_000, 1 << 22])
@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ((2, 16, 8, 10), THREE),
        ((3, 16, 5, 7), THREE + "bias_term: false"),
        ((2, 16, 9, 6), "kernel_size: 3"),
        ((2, 16, 3, 5), "kernel_size: 3 pad: 2"),
        ((3, 20, 12, 12), "kernel_size: 5"),
        ((2, 16, 7, 3), "kernel_size: 5 pad: 3"),
        ((2, 16, 6, 9), "kernel_h: 3 pad_h: 1 stride_h: 1 kernel_w: 1 pad_w: 0 stride_w: 1"),
        ((2, 16, 6, 9), "kernel_h: 3 kernel_w: 4 stride: 1 auto_pad: SAME"),
    ],
)
def test_column_by_column(
    tmp_path: Path, shape: tuple[int, ...], params: str, chunk: int, behind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in float64, whatever is in the memory that others work in too."""
    monkeypatch.setattr(_winograd, "CHUNK", chunk)
    net, exact = twins(tmp_path, shape, params, behind)
    primitives = net.layer_dict["target"]._primitives
    made = primitives.forward(), primitives.backward_data(), primitives.backward_weights(), primitives.backward()
    assert all(isinstance(steps._along, Columns) for run in made for _, steps in run._each())
    x = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    for value in (np.nan, 1e30):
        library().workspace(1 << 20).view(np.float32).fill(value)
        assert_close(run(net, x), run(exact, x))
        net.clear_param_diffs()
        exact.clear_param_diffs()


@pytest.mark.usefixtures("by_columns")
@pytest.mark.parametrize(
    "params",
    [
        THREE + "group: 2",
        "kernel_h: 5 pad_h: 4 stride_h: 1 kernel_w: 3 pad_w: 0 stride_w: 2",
        "kernel_h: 3 kernel_w: 3 pad_h: 1 pad_w: 2 dilation: 1 dilation: 2",
        "kernel_h: 3 pad_h: 1 stride_h: 1 kernel_w: 2 pad_w: 2 stride_w: 1",
    ],
)
def test_what_windows_do_not_see_in_one_piece_is_left_to_convolutions(tmp_path: Path, params: str) -> None:
    net = build(tmp_path, (2, 16, 6, 9), params)
    found = net.layer_dict["target"]._primitives.forward()
    assert all(isinstance(steps._along, Convolutions) for _, steps in found._each())


@pytest.mark.usefixtures("onednn")
def test_when_columns_pay() -> None:
    """Few of them, of few channels, in many rows; with AVX-512 never."""

    def is_so(num: int, channels: int = 20, width: int = 12) -> bool:
        x, y, windows = (num, channels, 12, width), (num, 50, 8, width - 4), Geometry((5, 5), (1, 1), (0, 0), (1, 1))
        cut = Cut(x, (50, channels, 5, 5), y, windows)
        return all(columns_pay(cut, part) for part in cut.parts)

    assert is_so(64) is not library().has_avx512
    assert not is_so(16)
    assert not is_so(64, channels=33)
    assert not is_so(64, width=13)
