"""Tops that are views of a bottom."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import TEST, TRAIN
from tests.graph.nets import inputs, ip, layer
from tests.layers.nets import net_of

NET = (
    inputs(x=(2, 3, 4))
    + layer("p", "Power", "x", "p", "power_param { scale: 2 }")
    + layer("flat", "Flatten", "p", "flat")
    + ip("a", "flat", "a", 5)
    + ip("b", "flat", "b", 5)
    + layer("turned", "Reshape", "p", "turned", "reshape_param { shape { dim: 4 dim: -1 } }")
)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_arrays_taken_before_the_first_pass_stay_live(phase: int) -> None:
    """Caffe shares in the pass: what is taken before stays 0 there."""
    net = net_of("force_backward: true\n" + NET, phase)
    taken = {name: blob.data for name, blob in net.blobs.items()}
    views = [name for name in taken if name.startswith(("flat", "p_", "turned"))]
    assert len(views) == 6
    for value in (1, 3):
        net.blobs["x"].data[...] = value
        net.forward()
        for name in views:
            np.testing.assert_array_equal(taken[name], 2 * value, err_msg=name)
    taken["turned"][0] = 7
    assert (net.blobs["p"].data.ravel()[:6] == 7).all()
