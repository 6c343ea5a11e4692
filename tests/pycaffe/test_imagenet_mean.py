"""The mean picture lies where pycaffe has it."""

from __future__ import annotations

import os

import numpy as np

import pycaffe_lite as caffe


def test_scripts_find_it() -> None:
    path = os.path.join(os.path.dirname(caffe.__file__), "imagenet", "ilsvrc_2012_mean.npy")
    mean = np.load(path)
    assert mean.shape == (3, 256, 256)
    np.testing.assert_allclose(mean.mean(1).mean(1), [104.007, 116.669, 122.679], atol=1e-3)  # B, G, R
    transformer = caffe.io.Transformer({"data": (1, 3, 227, 227)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", mean)
    made = transformer.preprocess("data", np.full((227, 227, 3), 120.0))
    np.testing.assert_allclose(made[:, 100, 50], [15.993, 3.331, -2.679], atol=1e-3)
