"""Dropout by its statistics; its gradients and the rest of the contract are in test_contract.py."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import TEST, TRAIN, Net
from tests.layers.nets import net_of


def dropout(ratio: float, phase: int = TRAIN, seed: int = 1) -> Net:
    return net_of(
        f"""force_backward: true
        layer {{ name: "i" type: "Input" top: "x" input_param {{ shape {{ dim: 50 dim: 2000 }} }} }}
        layer {{ name: "d" type: "Dropout" bottom: "x" top: "y" dropout_param {{ dropout_ratio: {ratio} }} }}""",
        phase,
        seed=seed,
    )


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.85])
def test_the_right_share_is_dropped_and_the_mean_kept(ratio: float) -> None:
    net = dropout(ratio)
    x = np.random.default_rng(0).normal(3, 1, (50, 2000)).astype(np.float32)
    net.blobs["x"].data[...] = x
    y = net.forward()["y"].copy()
    kept = y != 0
    assert kept.mean() == pytest.approx(1 - ratio, abs=5 * np.sqrt(ratio * (1 - ratio) / x.size))
    np.testing.assert_allclose(y[kept], x[kept] / (1 - ratio), rtol=1e-5)
    assert y.mean() == pytest.approx(3, rel=0.03)
    # no row, no column is favoured
    assert np.ptp(kept.mean(axis=0)) < 0.75
    assert np.ptp(kept.mean(axis=1)) < 0.08

    net.blobs["y"].diff[...] = 2
    np.testing.assert_allclose(net.backward()["x"], kept * 2 / (1 - ratio), rtol=1e-5)


def test_every_pass_drops_others_and_the_seed_decides() -> None:
    a, b, c = dropout(0.5), dropout(0.5), dropout(0.5, seed=2)
    for net in (a, b, c):
        net.blobs["x"].data[...] = 1
    first = a.forward()["y"].copy()
    second = a.forward()["y"].copy()
    agree = (first == second).mean()
    assert agree == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(b.forward()["y"], first)
    assert (c.forward()["y"] == first).mean() == pytest.approx(0.5, abs=0.01)


def test_it_does_nothing_in_test_phase() -> None:
    net = dropout(0.5, TEST)
    x = np.random.default_rng(0).normal(size=(50, 2000)).astype(np.float32)
    np.testing.assert_array_equal(net.forward(x=x)["y"], x)


@pytest.mark.usefixtures("engine")
def test_in_phase_test_nothing_changes_in_place() -> None:
    """Of one channel, which lies in plain order and with the channels innermost alike."""
    net = net_of(
        """layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 3 dim: 2 dim: 6 dim: 6 } } }
        layer { name: "c" type: "Convolution" bottom: "x" top: "y"
                convolution_param { num_output: 1 kernel_size: 1 weight_filler { type: "xavier" } } }
        layer { name: "d" type: "Dropout" bottom: "y" top: "y" }
        layer { name: "t" type: "Power" bottom: "y" top: "z" power_param { scale: 2 } }""",
        TEST,
        seed=1,
    )
    x = np.random.default_rng(0).normal(size=(3, 2, 6, 6))
    z = net.forward(x=x)["z"]
    weights = net.params["c"][0].data[:, :, 0, 0]
    np.testing.assert_allclose(z, 2 * np.einsum("nchw,oc->nohw", x, weights), rtol=1e-4, atol=1e-5)
