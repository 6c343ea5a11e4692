from __future__ import annotations

import pytest

from pycaffe_lite.engines.onednn import _normalization, _tile_plans, _winograd
from pycaffe_lite.engines.onednn._primitive import Primitive
from pycaffe_lite.engines.onednn._tile_columns import columns_can
from pycaffe_lite.engines.onednn._tile_products import Padded
from pycaffe_lite.engines.onednn._winograd import Cut


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Primitive]:
    """The primitives that run from now on."""
    found: list[Primitive] = []
    run = Primitive._run

    def noted(self: Primitive) -> None:
        found.append(self)
        run(self)

    monkeypatch.setattr(Primitive, "_run", noted)
    return found


@pytest.fixture(params=["at once", "in groups"])
def sums(request: pytest.FixtureRequest, onednn: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """How BatchNorm's and Scale's sums over the places of images are made."""
    if request.param == "in groups":
        monkeypatch.setattr(_normalization, "MOST_PLACES", 1)
        monkeypatch.setattr(_normalization, "LEAST_OF_GROUP", 1)
        monkeypatch.setattr(_normalization, "MOST_OF_GROUP", 5)
    return str(request.param)


@pytest.fixture
def in_tiles(onednn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever convolution can be done so, one row of tiles of an image at a time, by oneDNN's convolutions."""
    monkeypatch.setattr(Cut, "pays", lambda *_, **__: True)
    monkeypatch.setattr(Padded, "pays", lambda *_: False)
    monkeypatch.setattr(_tile_plans, "columns_pay", lambda *_: False)
    monkeypatch.setattr(_winograd, "CHUNK", 0)
    for name in ("PER_IMAGE", "PER_PART", "PER_FILTER"):
        monkeypatch.setattr(_winograd, name, 0.1)


@pytest.fixture
def by_products(in_tiles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and all gradients of weights that can be made by products of padded tiles."""
    monkeypatch.setattr(Padded, "pays", lambda *_: True)


@pytest.fixture
def by_columns(in_tiles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and all passes that can be made column by column."""
    monkeypatch.setattr(_tile_plans, "columns_pay", lambda cut, _: columns_can(cut))
