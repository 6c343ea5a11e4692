from __future__ import annotations

import logging

import numpy as np
import pytest

from pycaffe_lite.testing import LayerCase, uniform
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of


def test_max_ignores_coefficients_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Caffe refuses them for PROD only."""
    case = LayerCase("Eltwise", "eltwise_param { operation: MAX coeff: [2, -3] }", [uniform(2), uniform(2)])
    with caplog.at_level(logging.WARNING):
        net = net_of(case.prototxt())
    assert "Layer 'target': coeff is ignored" in caplog.text
    net.blobs["x0"].data[...] = [1, 2]
    net.blobs["x1"].data[...] = [3, -4]
    assert net.forward()["y0"].tolist() == [3, 2]


def test_who_was_not_the_largest_gets_no_gradient_whatever_it_is() -> None:
    both = layer("max", "Eltwise", "a b", "y", "eltwise_param { operation: MAX }")
    net = net_of("force_backward: true\n" + inputs(a=(4,), b=(4,)) + both)
    net.forward(a=np.array([2, 1, 2, np.nan]), b=np.array([1, 2, 1, 1]))
    net.backward(y=np.array([np.inf, np.nan, -3, -np.inf]))
    np.testing.assert_array_equal(net.blobs["a"].diff, [np.inf, 0, -3, 0])
    np.testing.assert_array_equal(net.blobs["b"].diff, [0, np.nan, 0, -np.inf])
