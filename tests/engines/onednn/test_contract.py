"""The engine's layers keep the layers' contract, and compute what numpy's do."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn import LAYERS, _arrays, recurrent
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import Primitive
from pycaffe_lite.order import Order
from pycaffe_lite.registry import find_layer
from pycaffe_lite.testing import CHECKS, LayerCase, _promises, cases
from tests.layers.cases import CASES

TYPES = {
    "batch_norm": "BatchNorm",
    "concat": "Concat",
    "convolution": "Convolution",
    "eltwise": "Eltwise",
    "deconvolution": "Deconvolution",
    "inner_product": "InnerProduct",
    "lrn": "LRN",
    "neurons": "Sigmoid TanH ELU",
    "pooling": "Pooling",
    "recurrent": "LSTM RNN",
    "relu": "ReLU",
    "scale": "Scale",
    "softmax": "Softmax",
    "split": "Split",
}
NAMES = " ".join(TYPES.values()).split()
BETWEEN_LAYERS = {"BatchNorm", "Scale"}
IN_FLOAT64 = {"gradients", "constraints", "arity"}  # nothing of the engine's

pytestmark = pytest.mark.usefixtures("onednn")


@pytest.fixture(autouse=True)
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checks make nets of float32, which the engine takes, and compare as exactly as these can."""
    monkeypatch.setattr(cases.Bench.__init__, "__kwdefaults__", {"dtype": np.float32, "in_place": False})
    monkeypatch.setattr(_promises.close, "__defaults__", (1e-5,))
    monkeypatch.setitem(_promises.same_gradients.__kwdefaults__, "tolerance", 1e-5)
    monkeypatch.setattr(_arrays, "MIN_COUNT", 1)
    for name in ("MIN_STEPS", "MIN_ITEMS", "MIN_NUMBERS"):
        monkeypatch.setattr(recurrent, name, 1)


@pytest.fixture(autouse=True)
def images_as_they_lie_between_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let normalizations meet them with the channels innermost, and not as a user fills them in."""
    forward = cases.Bench.forward

    def laid(self: cases.Bench) -> list[Array]:
        for blob in self.inputs:
            if self.layer.type in BETWEEN_LAYERS and len(blob.shape) == 4:
                values = blob.data.copy()
                blob.leave_order_free()
                blob.open("data", Order.CHANNELS_INNERMOST)[...] = values
        return forward(self)

    monkeypatch.setattr(cases.Bench, "forward", laid)


@pytest.mark.parametrize("check", [name for name in CHECKS if name not in IN_FLOAT64])
@pytest.mark.parametrize("case", [c for c in CASES if c.type in NAMES], ids=str)
def test_contract(case: LayerCase, check: str) -> None:
    CHECKS[check](case)


@pytest.mark.parametrize("name", NAMES)
def test_the_library_computes_in_some_case(name: str, ran: list[Primitive]) -> None:
    for case in CASES:
        if case.type == name:
            bench = cases.Bench(case)
            bench.gradients() if bench.has_backward else bench.forward()
    kinds = {primitive.description._asked[0] for primitive in ran}
    assert kinds - {"reorder"} or (name == "Concat" and kinds) or (name == "LRN" and not library().has_avx512)


def test_every_layer_of_the_engine_is_checked() -> None:
    assert set(TYPES) == set(LAYERS)
    for name in NAMES:
        assert find_layer(name, engines=["onednn"])[1] == "onednn"
        assert any(case.type == name for case in CASES)
