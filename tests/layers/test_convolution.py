from __future__ import annotations

import itertools

import numpy as np
import pytest

from pycaffe_lite._typing import Shape
from pycaffe_lite.testing import LayerCase, check_gradient, uniform
from tests.layers.nets import net_of


@pytest.mark.parametrize(("type_name", "order"), [("Convolution", "mc"), ("Deconvolution", "cm")])
@pytest.mark.parametrize(("axis", "shape"), [(1, (3, 4)), (-1, (2, 3, 5, 4))])
def test_over_no_spatial_axes_it_is_an_inner_product(
    type_name: str, order: str, axis: int, shape: tuple[int, ...]
) -> None:
    """As in Caffe, where the kernel then may be left out; W has two axes."""
    fields = f"convolution_param {{ num_output: 6 axis: {axis} bias_filler {{ value: 0.5 }} }}"
    net = net_of(LayerCase(type_name, fields, [uniform(*shape)]).prototxt(), dtype=np.float64)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=shape), rng.normal(size=(6, 4) if order == "mc" else (4, 6))
    net.blobs["x0"].data[...] = x
    assert net.params["target"][0].shape == w.shape
    net.params["target"][0].data[...] = w
    np.testing.assert_allclose(net.forward()["y0"], np.einsum(f"...c,{order}->...m", x, w) + 0.5)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("size", "pad", "stride"), [((2, 2), 0, 2), ((2, 4), 0, 3), ((1, 2), 1, 4), ((3, 1), 0, 3)])
def test_a_window_larger_than_the_image_by_less_than_the_stride(size: Shape, pad: int, stride: int) -> None:
    """Caffe's division rounds towards 0: there is one window, which sees zeros behind the image."""
    text = f"num_output: 4 kernel_size: 3 pad: {pad} stride: {stride} weight_filler {{ type: 'xavier' }}"
    case = LayerCase("Convolution", f"convolution_param {{ {text} }}", [uniform(2, 5, *size)])
    net = net_of(case.prototxt(), seed=1)
    x = np.random.default_rng(0).normal(size=(2, 5, *size))
    net.blobs["x0"].data[...] = x
    net.forward()
    y, w = net.blobs["y0"], net.params["target"][0]
    larger = np.zeros((2, 5, 8, 8))
    larger[:, :, pad : pad + size[0], pad : pad + size[1]] = x
    places = [range(y.shape[2]), range(y.shape[3])]
    assert min(y.shape) >= 1
    for i, j in itertools.product(*places):
        seen = larger[:, :, i * stride : i * stride + 3, j * stride : j * stride + 3]
        np.testing.assert_allclose(y.data[:, :, i, j], np.einsum("nchw,ochw->no", seen, w.data), rtol=1e-4, atol=1e-5)
    check_gradient(case)
