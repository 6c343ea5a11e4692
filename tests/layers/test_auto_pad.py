"""auto_pad against TensorFlow: arrays that TensorFlow computed, and its rule written out plainly.

The contract (gradients and more) is checked by the cases in cases_shapes.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layers._geometry import same_padding
from pycaffe_lite.testing import LayerCase, uniform
from tests.layers.nets import net_of

GOLDEN = Path(__file__).parents[1] / "golden" / "auto_pad.npz"
CASES = 36


def top_of(type_name: str, params: str, x: Array, w: Array | None = None) -> Array:
    net = net_of(LayerCase(type_name, params, [uniform(*x.shape)]).prototxt())
    net.blobs["x0"].data[...] = x
    if w is not None:
        net.params["target"][0].data[...] = w
    return net.forward()["y0"]


@pytest.mark.parametrize("case", range(CASES))
def test_it_gives_what_tensorflow_gives(case: int) -> None:
    with np.load(GOLDEN) as file:
        golden = {name.partition("/")[2]: file[name] for name in file.files if name.startswith(f"{case}/")}
    y = top_of(str(golden["type"]), str(golden["params"]), golden["x"], golden.get("w"))
    np.testing.assert_allclose(y, golden["y"], rtol=1e-4, atol=1e-5)


def test_all_golden_cases_are_run() -> None:
    with np.load(GOLDEN) as file:
        assert sum(name.endswith("/params") for name in file.files) == CASES


def test_the_odd_place_is_behind() -> None:
    """A kernel of 2 adds up a place and the next; behind the last one there are zeros."""
    x = np.arange(1.0, 5).reshape(1, 1, 4)
    params = "convolution_param { num_output: 1 kernel_size: 2 bias_term: false auto_pad: SAME }"
    assert top_of("Convolution", params, x, np.ones((1, 1, 2))).tolist() == [[[3, 5, 7, 4]]]
    params = "convolution_param { kernel_size: 2 auto_pad: SAME }"
    assert top_of("Im2col", params, x).tolist() == [[[1, 2, 3, 4], [2, 3, 4, 0]]]


def test_means_count_no_padding() -> None:
    x = np.array([[[[1.0, 2, 3], [4, 5, 6]]]])
    params = "pooling_param { pool: AVE kernel_size: 2 auto_pad: SAME }"
    assert top_of("Pooling", params, x).tolist() == [[[[3, 4, 4.5], [4.5, 5.5, 6]]]]


def test_maxima_are_of_the_image_only_and_the_mask_says_where() -> None:
    x = -np.arange(1.0, 16).reshape(1, 1, 3, 5)
    net = net_of(
        LayerCase("Pooling", "pooling_param { kernel_size: 4 stride: 3 auto_pad: SAME }", [uniform(1, 1, 3, 5)], 2)
        .prototxt()
    )  # fmt: skip
    net.blobs["x0"].data[...] = x
    out = net.forward()
    assert out["y0"].tolist() == [[[[-1, -3]]]]  # one place of padding before both axes, in rows none behind
    assert out["y1"].tolist() == [[[[0, 2]]]]


@pytest.mark.parametrize("stride", [(2, 1), (3, 4), (5, 2)])
@pytest.mark.parametrize("kernel", [(3, 2), (1, 4), (4, 5)])
@pytest.mark.parametrize("dilation", [(1, 2), (3, 1)])
def test_convolution_is_that_of_a_padded_image(
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> None:
    """With stride and dilation together, which TensorFlow refuses: zeros put around by hand, then no padding."""
    x, w = (
        np.random.default_rng(3).uniform(-1, 1, (2, 3, 9, 8)),
        np.random.default_rng(4).uniform(-1, 1, (4, 3, *kernel)),
    )
    fields = f"num_output: 4 bias_term: false kernel_h: {kernel[0]} kernel_w: {kernel[1]} "
    fields += f"stride_h: {stride[0]} stride_w: {stride[1]} dilation: {dilation[0]} dilation: {dilation[1]} "
    around = []
    for n, k, s, d in zip((9, 8), kernel, stride, dilation, strict=True):
        seen = (k - 1) * d + 1
        over = n % s or s  # how much of the input the last window's stride covers
        missing = max(seen - over, 0)
        around.append((missing // 2, missing - missing // 2))
    padded = np.pad(x, [(0, 0), (0, 0), *around])
    same = top_of("Convolution", f"convolution_param {{ {fields} auto_pad: SAME }}", x, w)
    assert same.shape == (2, 4, *(-(-n // s) for n, s in zip((9, 8), stride, strict=True)))
    np.testing.assert_allclose(same, top_of("Convolution", f"convolution_param {{ {fields} }}", padded, w), atol=1e-6)


def test_padding_follows_another_size() -> None:
    case = LayerCase(
        "Convolution",
        "convolution_param { num_output: 1 kernel_size: 3 stride: 2 bias_term: false auto_pad: SAME }",
        [uniform(1, 1, 5)],
    )
    net = net_of(case.prototxt())
    net.params["target"][0].data[...] = [[[1, 10, 100]]]
    for size, want in ((5, [210, 432, 54]), (6, [321, 543, 65])):  # 1 before and 1 behind; only 1 behind
        net.blobs["x0"].reshape(1, 1, size)
        net.blobs["x0"].data[...] = np.arange(1, size + 1)
        assert net.forward()["y0"].tolist() == [[want]]


def test_same_padding() -> None:
    assert same_padding((6, 7, 5), (3, 5, 2), (2, 3, 4)) == ((0, 2, 0), (1, 2, 1))


@pytest.mark.parametrize(
    ("type_name", "fields", "what"),
    [
        ("Convolution", "num_output: 2 kernel_size: 3 pad: 1 auto_pad: SAME", "pad and auto_pad: SAME"),
        ("Deconvolution", "num_output: 2 kernel_size: 3 pad: 0 auto_pad: VALID", "pad and auto_pad: VALID"),
        ("Im2col", "kernel_size: 3 pad_w: 1 auto_pad: SAME", "pad_w and auto_pad: SAME"),
        ("Pooling", "kernel_size: 3 pad: 1 auto_pad: SAME", "pad and auto_pad: SAME"),
        ("Pooling", "kernel_size: 3 pad_h: 1 pad_w: 1 auto_pad: VALID", "pad_h and auto_pad: VALID"),
        ("Pooling", "global_pooling: true auto_pad: VALID", "global_pooling and auto_pad"),
        ("Pooling", "kernel_size: 2 round_mode: FLOOR auto_pad: VALID", "round_mode and auto_pad"),
    ],
)
def test_one_of_them_only(type_name: str, fields: str, what: str) -> None:
    message = "pooling_param" if type_name == "Pooling" else "convolution_param"
    with pytest.raises(ParameterError, match=f"{what} are both given.*net.prototxt:5") as caught:
        net_of(LayerCase(type_name, f"{message} {{\n {fields} }}", [uniform(2, 3, 5, 7)]).prototxt())
    assert "'target'" in str(caught.value)


def test_explicit_is_the_default() -> None:
    text = "convolution_param { num_output: 2 kernel_size: 3 pad: 1 auto_pad: EXPLICIT }"
    assert top_of("Convolution", text, np.ones((2, 3, 5, 7))).shape == (2, 2, 5, 7)


def test_a_kernel_larger_than_the_image_does_not_fit_without_padding() -> None:
    with pytest.raises(ShapeError, match="does not fit"):
        top_of("Pooling", "pooling_param { kernel_size: 8 auto_pad: VALID }", np.ones((2, 3, 5, 7)))
