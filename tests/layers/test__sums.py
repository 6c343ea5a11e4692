"""Sums of many numbers: as exact as float32 is, whichever way the numbers lie."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import engines
from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.layers._sums import MANY, sum_over
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

PLAIN, CHANNELS_INNERMOST, BATCH_INNERMOST = (0, 1, 2, 3), (0, 2, 3, 1), (1, 2, 3, 0)
LARGE = [
    ((30001, 2, 1, 3), (0, 2, 3)),
    ((1, 3, 301, 199), (0, 2, 3)),
    ((70001, 3, 1, 1), (0,)),
    ((1, 1, 2, 70001), (3,)),
    ((2, 5, 3, 7001), (0, 1, 2, 3)),
    ((40003, 2, 1, 1), (0, 1)),
]


def lying(shape: Shape, order: Shape, value: float) -> Array:
    """Numbers around this one, laid down in this order of axes."""
    a = np.empty([shape[i] for i in order], np.float32).transpose(np.argsort(order))
    a[...] = value
    a[..., 0, 0] *= 1 + np.arange(shape[1], dtype=np.float32)
    return a


@pytest.mark.parametrize(("shape", "axes"), LARGE, ids=str)
@pytest.mark.parametrize("order", [PLAIN, CHANNELS_INNERMOST, BATCH_INNERMOST], ids=str)
def test_large_sums(shape: Shape, axes: Shape, order: Shape) -> None:
    factors = lying(shape, order, 0.1), lying(shape, order, 0.7)
    for some in (factors[:1], factors):
        expected = np.prod([f.astype(np.float64) for f in some], axis=0).sum(axis=axes)
        got = sum_over(axes, *some)
        assert (got.dtype, got.shape) == (np.float32, expected.shape)
        np.testing.assert_allclose(got, expected, rtol=5e-6)


@pytest.mark.parametrize("order", [PLAIN, CHANNELS_INNERMOST, BATCH_INNERMOST], ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (0, 3, 4, 5), (2, 0, 4, 5), (7, 3, 40, 30)], ids=str)
@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 2, 3), (2, 3), (1, 3), (0, 1, 2, 3)], ids=str)
def test_all_axes(axes: Shape, shape: Shape, order: Shape) -> None:
    a, b = (lying(shape, order, v).astype(np.float64) for v in (0.3, -2))
    np.testing.assert_allclose(sum_over(axes, a), a.sum(axis=axes))
    np.testing.assert_allclose(sum_over(axes, a, b), (a * b).sum(axis=axes))
    np.testing.assert_allclose(sum_over(axes, a, b.copy()), (a * b).sum(axis=axes))
    np.testing.assert_allclose(sum_over(axes, a[::-1], b[::-1]), (a * b).sum(axis=axes))


@pytest.mark.parametrize(
    ("kind", "param", "shape", "blob"),
    [
        ("InnerProduct", "inner_product_param { num_output: 2 }", (60001, 2), 1),
        ("Bias", "", (60001, 2), 0),
        ("Scale", "scale_param { bias_term: true }", (60001, 2), 0),
        ("Scale", "scale_param { bias_term: true }", (60001, 2), 1),
        ("PReLU", "", (60001, 2), 0),
        ("Embed", "embed_param { input_dim: 2 num_output: 2 }", (60001,), 1),
        ("Convolution", "convolution_param { num_output: 2 kernel_size: 1 }", (60001, 1, 1, 2), 1),
        ("Deconvolution", "convolution_param { num_output: 2 kernel_size: 1 }", (60001, 1, 1, 2), 1),
        ("RNN", "recurrent_param { num_output: 2 weight_filler { value: 0.5 } }", (2, 30001, 1), 1),
        ("RNN", "recurrent_param { num_output: 2 weight_filler { value: 0.5 } }", (2, 30001, 1), 4),
    ],
)
def test_gradients_of_parameters(
    kind: str, param: str, shape: Shape, blob: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal numbers are the hard ones: each rounding errs in the same direction."""
    monkeypatch.setattr(engines, "_chosen", "numpy")
    text, bottoms = inputs(x=shape), "x"
    if kind == "RNN":
        text, bottoms = text + inputs(cont=shape[:2]), "x cont"
    net = net_of(text + layer("target", kind, bottoms, "y", f"{param} loss_weight: 0.1"))
    net.blobs["x"].data[...] = -1 if kind in ("Scale", "PReLU") else 0
    net.forward()
    net.backward()
    each = net.blobs["y"].count // 2 * 0.1
    np.testing.assert_allclose(np.abs(net.params["target"][blob].diff), each, rtol=1e-5)


def test_variances_of_large_rows() -> None:
    x = np.random.default_rng(0).normal(size=(2, 1, 1, 300_001)).astype(np.float32)
    exact = x.astype(np.float64).reshape(2, -1)
    net = net_of(
        inputs(x=x.shape)
        + layer("mvn", "MVN", "x", "normal")
        + layer("sumsq", "Reduction", "x", "sumsq", "reduction_param { operation: SUMSQ axis: 1 }")
        + inputs(zero=x.shape, similar=(2,))
        + layer("apart", "ContrastiveLoss", "x zero similar", "apart")
    )
    tops = net.forward(x=x, zero=0 * x, similar=np.ones(2))
    np.testing.assert_allclose(tops["apart"], (exact**2).sum() / 4, rtol=1e-6)
    np.testing.assert_allclose(tops["sumsq"], (exact**2).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(tops["normal"].astype(np.float64).reshape(2, -1).std(axis=1), 1, atol=1e-6)


def test_statistics_of_many_places() -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 700, 800)).astype(np.float32)
    net = net_of(inputs(x=x.shape) + layer("norm", "BatchNorm", "x", "y"))
    net.forward(x=x)
    mean, variance, _ = (blob.data for blob in net.params["norm"])
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3), dtype=np.float64), atol=1e-7)
    np.testing.assert_allclose(variance, x.var(axis=(0, 2, 3), dtype=np.float64, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("rows", [3, MANY + 1])
@pytest.mark.parametrize("factors", [1, 2])
def test_the_sum_is_written_where_it_is_wanted(rows: int, factors: int) -> None:
    a = np.random.default_rng(1).random((rows, 5), np.float32)
    out = np.empty(5, np.float32)
    assert sum_over((0,), *[a] * factors, out=out) is out
    np.testing.assert_allclose(out, (a.astype(np.float64) ** factors).sum(axis=0), rtol=1e-6)
