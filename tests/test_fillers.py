"""Fillers: exact values where there are any, else their statistics over many numbers."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.errors import CaffeError, ParameterError, ShapeError, UnknownTypeError
from pycaffe_lite.fillers import fill, fillers
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

FAN = (120, 40, 5, 7)
"""count / 120 = 1400 inputs, count / 40 = 4200 outputs."""


def filled(text: str, shape: Shape = FAN, dtype: type = np.float32, seed: int = 3) -> Array:
    filler, _ = parse_text(text, pb.FillerParameter)
    data = np.full(shape, np.nan, dtype)
    fill(data, filler, np.random.default_rng(seed))
    assert data.dtype == dtype
    return data


def test_there_are_caffes_seven() -> None:
    assert list(fillers) == ["bilinear", "constant", "gaussian", "msra", "positive_unitball", "uniform", "xavier"]


def test_constant() -> None:
    np.testing.assert_array_equal(filled("value: 2.5", (2, 3)), np.full((2, 3), 2.5))
    np.testing.assert_array_equal(filled("", ()), 0)


def test_uniform() -> None:
    x = filled('type: "uniform" min: -2 max: 5')
    assert -2 <= x.min() < -1.99
    assert 4.99 < x.max() <= 5
    assert x.mean() == pytest.approx(1.5, abs=0.03)
    assert x.std() == pytest.approx(7 / np.sqrt(12), rel=0.01)
    np.testing.assert_array_equal(filled('type: "uniform" min: 3 max: 3', (4,)), [3] * 4)


def test_gaussian() -> None:
    x = filled('type: "gaussian" mean: 3 std: 0.5')
    assert x.mean() == pytest.approx(3, abs=0.01)
    assert x.std() == pytest.approx(0.5, rel=0.01)
    assert np.mean(np.abs(x - 3) < 0.5) == pytest.approx(0.6827, abs=0.005)
    np.testing.assert_array_equal(filled('type: "gaussian" mean: 3 std: 0', (4,)), [3] * 4)


@pytest.mark.parametrize(("sparse", "share"), [(30, 0.25), (0, 0), (120, 1), (500, 1)])
def test_sparse_gaussian(sparse: int, share: float) -> None:
    x = filled(f'type: "gaussian" mean: 1 std: 0.1 sparse: {sparse}')
    assert np.mean(x != 0) == pytest.approx(share, abs=0.01)
    if share:
        assert x[x != 0].mean() == pytest.approx(1, abs=0.01)


def test_positive_unitball() -> None:
    x = filled('type: "positive_unitball"', (5, 300, 2), np.float64)
    assert x.min() >= 0
    np.testing.assert_allclose(x.sum(axis=(1, 2)), np.ones(5), rtol=1e-12)
    assert x.std() * 600 == pytest.approx(2 / np.sqrt(12), rel=0.05)
    assert filled('type: "positive_unitball"', (), np.float64) == 1


@pytest.mark.parametrize(("norm", "fan"), [("", 1400), ("FAN_IN", 1400), ("FAN_OUT", 4200), ("AVERAGE", 2800)])
def test_xavier_and_msra_by_their_fans(norm: str, fan: float) -> None:
    norm = f"variance_norm: {norm}" if norm else ""
    x = filled(f'type: "xavier" {norm}')
    assert abs(x).max() == pytest.approx(np.sqrt(3 / fan), rel=1e-3)
    assert x.std() == pytest.approx(np.sqrt(1 / fan), rel=0.01)
    assert x.mean() == pytest.approx(0, abs=0.01 / np.sqrt(fan))
    x = filled(f'type: "msra" {norm}')
    assert x.std() == pytest.approx(np.sqrt(2 / fan), rel=0.01)
    assert abs(x).max() > 4 * x.std()


def test_fans_of_short_blobs() -> None:
    assert abs(filled('type: "xavier"', (5000,))).max() == pytest.approx(np.sqrt(3), rel=0.01)
    assert abs(filled('type: "xavier" variance_norm: FAN_OUT', (5000,))).max() == pytest.approx(
        np.sqrt(3 / 5000), rel=0.01
    )


def test_bilinear() -> None:
    even = np.array([0.25, 0.75, 0.75, 0.25])
    odd = np.array([1, 2, 3, 2, 1]) / 3
    for kernel in (even, odd, np.ones(1)):
        k = len(kernel)
        x = filled('type: "bilinear"', (2, 3, k, k), np.float64)
        np.testing.assert_allclose(x, np.broadcast_to(np.outer(kernel, kernel), (2, 3, k, k)), rtol=1e-12)


def test_bilinear_upsamples_exactly() -> None:
    """Stride 2 and a kernel of 4 put a straight line's values between its points, the very purpose of the filler."""
    kernel = filled('type: "bilinear"', (1, 1, 4, 4), np.float64)[0, 0]
    line, up = np.arange(5.0), np.zeros(12)
    for i, value in enumerate(line):
        up[2 * i : 2 * i + 4] += value * kernel[1] / kernel[1].sum() * 2
    np.testing.assert_allclose(up[3:9], [0.75, 1.25, 1.75, 2.25, 2.75, 3.25])


def test_the_generator_decides() -> None:
    for kind in ("uniform", "gaussian", "xavier", "msra", "positive_unitball"):
        one, same, other = (filled(f'type: "{kind}"', (4, 5), seed=s) for s in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert np.any(one != other)


def test_float32_and_float64_agree() -> None:
    for kind in ("uniform", "gaussian", "xavier", "msra", "positive_unitball"):
        one, other = (filled(f'type: "{kind}"', (4, 5), t) for t in (np.float32, np.float64))
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "shape", "error", "message"),
    [
        ('type: "gausian"', (2, 3), UnknownTypeError, "Unknown filler 'gausian'. Did you mean 'gaussian'?"),
        (
            'type: "zzz"',
            (2, 3),
            UnknownTypeError,
            "Unknown filler 'zzz'. Known are bilinear, constant, gaussian, msra, ",
        ),
        (
            'type: "uniform" min: 2 max: 1',
            (2, 3),
            ParameterError,
            "min is 2.0 and max is 1.0. min must not be above max.",
        ),
        ('type: "gaussian" std: -1', (2, 3), ParameterError, "std is -1.0. A standard deviation is 0 or more."),
        (
            'type: "xavier" sparse: 3',
            (2, 3),
            ParameterError,
            "sparse is 3 in a filler of type 'xavier'. Only the gaussian",
        ),
        (
            'type: "gaussian" sparse: 3',
            (),
            ShapeError,
            "A sparse gaussian filler needs an axis 0, the blob has shape ()",
        ),
        (
            'type: "bilinear"',
            (2, 3, 4, 5),
            ShapeError,
            "A bilinear filler needs shape (n, c, k, k), the blob has (2, 3, 4, 5)",
        ),
        ('type: "bilinear"', (3, 3), ShapeError, "A bilinear filler needs shape (n, c, k, k), the blob has (3, 3)"),
    ],
)
def test_errors(text: str, shape: Shape, error: type[CaffeError], message: str) -> None:
    with pytest.raises(error) as e:
        filled(text, shape)
    assert str(e.value).startswith(message)


@pytest.mark.parametrize("kind", ["constant", "uniform", "gaussian", "xavier", "msra", "positive_unitball"])
def test_blobs_without_numbers(kind: str) -> None:
    assert filled(f'type: "{kind}"', (0, 3)).size == 0


@pytest.mark.parametrize(
    ("layers", "where"),
    [
        ('inner_product_param { num_output: 2\n weight_filler {\n  type: "xavir" } }', "net.prototxt:4:3"),
        ('inner_product_param { num_output: 2\n bias_filler { type: "uniform"\n\n  min: 3 } }', "net.prototxt:5:3"),
        ("inner_product_param { num_output: 2\n weight_filler { sparse: 2 } }", "net.prototxt:3:18"),
        ('inner_product_param { num_output: 2\n weight_filler { type: "bilinear" } }', "net.prototxt:3:2"),
        ('inner_product_param { num_output: 2\n bias_filler { type: "gaussian" sparse: -2 } }', "net.prototxt:3:33"),
    ],
)
def test_errors_say_where_the_filler_stands(layers: str, where: str) -> None:
    text = inputs(x=(2, 3)) + layer("ip", "InnerProduct", "x", "y", layers)
    with pytest.raises(CaffeError, match=rf"layer 'ip' of type InnerProduct, {where}\)"):
        net_of(text)


def test_errors_of_dummy_data_say_which_filler() -> None:
    shape, constant = "shape { dim: 2 }", "data_filler { }"
    wrong = 'data_filler { type: "uniform"\n min: 2 }'
    with pytest.raises(ParameterError, match=r"net.prototxt:2:2\)"):
        net_of(layer("d", "DummyData", "", "a b", f"dummy_data_param {{ {shape} {constant} {wrong} }}"))
