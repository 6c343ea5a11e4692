from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.testing import LayerCase, uniform
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
