"""Neurons by primitives: numpy's and Caffe's numbers, in whatever order these lie."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn import _arrays, load
from pycaffe_lite.engines.onednn._primitive import Primitive
from pycaffe_lite.layer import Layer, bind
from pycaffe_lite.order import Order
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import find_layer
from pycaffe_lite.schema import parse_text
from tests.golden.compare import assert_close, computed, golden_cases

SHAPE = (3, 5, 4, 7)
COUNT = 3 * 5 * 4 * 7
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-6, -1e-6, 100, -100, 1e30, -1e30]
NEURONS = {
    "Sigmoid": ("", 2),
    "TanH": ("", 2),
    "ELU": ("elu_param { alpha: 0.7 }", 2),
    "ELU of 0": ("elu_param { alpha: 0 }", 2),
    "ELU below 0": ("elu_param { alpha: -0.4 }", 1),
}
"""Parameters, and how many of the two passes are the engine's."""


@pytest.fixture(autouse=True)
def many(onednn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine take arrays of this file's size."""
    load()
    monkeypatch.setattr(_arrays, "MIN_COUNT", 1)


def make(name: str, engines: list[str], dtype: type = np.float32) -> Layer:
    text = f'type: "{name.split()[0]}" {NEURONS[name][0]}'
    message, _ = parse_text(text, pb.LayerParameter, "layer.prototxt")
    layer = find_layer(message.type, engines=engines)[0](message)
    bind(layer, dtype=dtype, phase=pb.TRAIN, rng=np.random.default_rng)
    return layer


def blob(order: Order, data: Array, dtype: type = np.float32) -> Blob:
    made = Blob(data.shape, dtype)
    made.leave_order_free()
    made.open("data", order)[...] = data
    return made


def passes(layer: Layer, order: Order, in_place: bool, x: Array, dy: Array) -> tuple[Array, Array]:
    """y and dx."""
    bottom, top = blob(order, x, layer.blobs.dtype), blob(order, np.zeros_like(x), layer.blobs.dtype)  # type: ignore[arg-type]
    tops = [bottom if in_place else top]
    layer.setup([bottom], tops)
    layer.forward([bottom], tops)
    y = tops[0].stored("data").copy()
    tops[0].open("diff", order)[...] = dy
    layer.backward(tops, [True], [bottom])
    return y, bottom.diff


@pytest.mark.parametrize(
    ("name", "in_place"),
    [(name, in_place) for name in NEURONS for in_place in (False, True) if (name, in_place) != ("ELU below 0", True)],
)
@pytest.mark.parametrize("order", Order)
def test_as_numpy(name: str, in_place: bool, order: Order, ran: list[Primitive]) -> None:
    rng = np.random.default_rng(3)
    x, dy = rng.normal(0, 4, SHAPE).astype(np.float32), rng.normal(size=SHAPE).astype(np.float32)
    layers = [make(name, engines) for engines in (["onednn"], [])]
    got, want = (passes(layer, order, in_place, x, dy) for layer in layers)
    assert len(ran) == NEURONS[name][1]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", NEURONS)
def test_what_is_no_number_or_large(name: str) -> None:
    x = np.resize(np.array(SPECIAL, np.float32), SHAPE)
    with np.errstate(all="ignore"):
        got, want = (passes(make(name, e), Order.PLAIN, False, x, np.ones_like(x))[0] for e in (["onednn"], []))
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)
    assert np.isnan(got).sum() == np.isnan(x).sum() > 0


@pytest.mark.parametrize("name", NEURONS)
def test_left_to_numpy(name: str, ran: list[Primitive], monkeypatch: pytest.MonkeyPatch) -> None:
    """float64; and few numbers."""
    x = np.random.default_rng(3).normal(0, 4, SHAPE)
    want = passes(make(name, [], np.float64), Order.PLAIN, False, x, x)
    for got, exact in zip(passes(make(name, ["onednn"], np.float64), Order.PLAIN, False, x, x), want, strict=True):
        np.testing.assert_array_equal(got, exact)
    monkeypatch.setattr(_arrays, "MIN_COUNT", COUNT + 1)
    passes(make(name, ["onednn"]), Order.PLAIN, False, x, x)
    assert ran == []


@pytest.mark.parametrize("kind", ["Sigmoid", "TanH", "ELU", "ReLU"])
def test_golden(kind: str, ran: list[Primitive]) -> None:
    for golden in golden_cases(kind):
        ran.clear()
        assert_close(computed(golden), golden.expected, tolerance=1e-4, at_least=0.01)
        assert ran


@pytest.mark.parametrize("name", ["Sigmoid", "TanH", "ELU"])
@pytest.mark.parametrize("order", [Order.PLAIN, Order.CHANNELS_INNERMOST])
@pytest.mark.parametrize("shape", [SHAPE, (3, 1, 4, 7)])
def test_in_phase_test_few_numbers_too(
    name: str, order: Order, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place, too, where one channel lies in both orders at once."""
    monkeypatch.setattr(_arrays, "MIN_COUNT", 1 << 15)
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    results = []
    for engines in (["onednn"], ["numpy"]):
        layer = make(name, engines)
        layer.phase = pb.TEST
        for tops in ([], [blob(order, np.zeros_like(x))]):
            bottom = [blob(order, x)]
            layer.setup(bottom, tops or bottom)
            assert layer.forward(bottom, tops or bottom) is not None
            results.append((tops or bottom)[0].data.copy())
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=2e-6, atol=1e-7)
