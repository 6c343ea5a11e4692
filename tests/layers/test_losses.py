"""Losses where the table of cases cannot look: gradients that are not quite the loss's own, and files."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.testing import Bench, LayerCase, uniform


def test_contrastive_loss_pushes_other_pairs_apart_as_caffe_does() -> None:
    """Caffe divides by d + 1e-4 where the derivative has d, so differences give (d + 1e-4) / d times its gradient."""
    case = LayerCase(
        "ContrastiveLoss", "loss_weight: 1.3 contrastive_loss_param { margin: 2 }", [uniform(4, 3)] * 2 + [uniform(4)]
    )
    bench = Bench(case)
    a, b, labels = bench.inputs
    labels.data[...] = 0.5  # Caffe cuts off the fraction: not similar
    a.data[3] = b.data[3]
    got = bench.gradients().bottoms
    np.testing.assert_array_equal(got[1], -got[0])
    d = np.linalg.norm(a.data - b.data, axis=1)
    assert (d[:3] < 2).any()
    np.testing.assert_array_equal(got[0][3], 0)  # no direction to push in
    for n, k in np.ndindex(3, 3):
        start, step, losses = a.data[n, k].copy(), 1e-6, []
        for sign in (1, -1):
            a.data[n, k] = start + sign * step
            losses.append(bench.forward()[0])
        a.data[n, k] = start
        slope = 1.3 * float(losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(got[0][n, k] * (d[n] + 1e-4) / d[n], slope, atol=1e-8)


def test_contrastive_loss_of_equal_vectors_that_are_not_similar() -> None:
    bench = Bench(
        LayerCase("ContrastiveLoss", "contrastive_loss_param { margin: 3 }", [uniform(2, 3)] * 2 + [uniform(2)])
    )
    for blob in bench.inputs:
        blob.data[...] = 0
    assert bench.forward()[0] == 3**2 / 2
