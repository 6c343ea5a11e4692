"""Stochastic pooling: what it draws, how often, and the mean of that."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.testing import CHECKS, LayerCase, uniform
from tests.layers.nets import net_of

CASES = [
    LayerCase("Pooling", f"pooling_param {{ pool: STOCHASTIC {window} }}", [uniform(2, 3, 5, 7, low=0.1)], phase=phase)
    for phase in (TRAIN, TEST)
    for window in (
        "kernel_size: 2 stride: 2",
        "kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 3",
        "kernel_size: 2 stride: 5",
        "global_pooling: true",
    )
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_contract(case: LayerCase, check: str) -> None:
    CHECKS[check](case)


def net_on(x: np.ndarray, fields: str, phase: int = TRAIN) -> Net:
    dims = " ".join(f"dim: {n}" for n in x.shape)
    net = net_of(
        f'force_backward: true layer {{ name: "i" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}\n'
        f'layer {{ name: "p" type: "Pooling" bottom: "x" top: "y" pooling_param {{ pool: STOCHASTIC {fields} }} }}',
        phase,
        seed=5,
    )
    net.blobs["x"].data[...] = x
    return net


WINDOW = np.array([[1.0, 2.0], [5.0, 0.0], [3.0, 4.0]])


def test_places_are_drawn_in_proportion_to_their_values() -> None:
    """24000 windows: each share is within 5 standard deviations; what is 0 never comes."""
    count = 24000
    net = net_on(np.broadcast_to(WINDOW, (count // 8, 8, 3, 2)), "kernel_h: 3 kernel_w: 2")
    drawn = net.forward()["y"].flatten()
    for value in WINDOW.ravel():
        p = value / WINDOW.sum()
        assert abs((drawn == value).mean() - p) <= 5 * np.sqrt(p * (1 - p) / count)
    assert not np.array_equal(drawn, net.forward()["y"].ravel())


def test_the_gradient_goes_where_the_value_came_from() -> None:
    x = np.random.default_rng(2).permutation(np.arange(1.0, 2 * 3 * 4 * 6 + 1)).reshape(2, 3, 4, 6)
    net = net_on(x, "kernel_size: 2 stride: 2")
    y = net.forward()["y"]
    dy = np.random.default_rng(3).normal(size=y.shape).astype(np.float32)
    net.blobs["y"].diff[...] = dy
    net.backward()
    want = np.zeros(x.size + 1, np.float32)
    want[y.astype(int)] = dy
    np.testing.assert_array_equal(net.blobs["x"].diff, want[x.astype(int)])


def test_testing_gives_the_mean_of_the_draws() -> None:
    net = net_on(np.stack([WINDOW, 0 * WINDOW])[None], "global_pooling: true", TEST)
    np.testing.assert_allclose(net.forward()["y"].ravel(), [55 / 15, 0], rtol=1e-6)


def test_windows_of_zeros_and_windows_outside() -> None:
    net = net_on(np.zeros((1, 1, 4, 4)), "kernel_size: 2 stride: 2")
    net.forward()
    net.blobs["y"].diff[...] = 1
    net.backward()
    np.testing.assert_array_equal(np.flatnonzero(net.blobs["x"].diff), [0, 2, 8, 10])
    net = net_on(np.ones((1, 1, 4, 4)), "kernel_size: 2 stride: 5")
    np.testing.assert_array_equal(net.forward()["y"][0, 0], [[1, 0], [0, 0]])


def test_padding_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"pad is \(1, 1\) for STOCHASTIC.*layer 'p'"):
        net_on(np.ones((1, 1, 4, 4)), "kernel_size: 2 pad: 1")


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_every_level_of_a_pyramid_draws_from_its_bins(phase: int) -> None:
    """5 x 4 numbers in 2 x 2 bins of 3 x 2: the upper two, whose first row is padding, see two rows of the image."""
    x = np.random.default_rng(4).uniform(0.1, 1, (2, 3, 5, 4))
    text = LayerCase("SPP", "spp_param { pool: STOCHASTIC pyramid_height: 2 }", [uniform(*x.shape)]).prototxt()
    net = net_of(text, phase, dtype=np.float64)
    net.blobs["x0"].data[...] = x
    y = net.forward()["y0"].copy()
    net.blobs["y0"].diff[...] = 1
    net.backward()
    whole, bins = y[:, :3], y[:, 3:].reshape(2, 3, 2, 2)
    received = np.zeros_like(x)
    for n, c in np.ndindex(2, 3):
        windows = [(np.s_[:, :], whole[n, c])]
        windows += [
            (np.s_[r, k], bins[n, c, i, j])
            for i, r in enumerate((np.s_[:2], np.s_[2:]))
            for j, k in enumerate((np.s_[:2], np.s_[2:]))
        ]
        for where, value in windows:
            seen = x[n, c][where]
            if phase == TRAIN:
                assert value in seen
                received[n, c][where] += seen == value
            else:
                np.testing.assert_allclose(value, (seen**2).sum() / seen.sum())
                received[n, c][where] += (2 * seen - value) / seen.sum()
    np.testing.assert_allclose(net.blobs["x0"].diff, received)
