from __future__ import annotations

import logging

import pytest

from pycaffe_lite.testing import LayerCase, uniform
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
