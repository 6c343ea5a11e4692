from __future__ import annotations

import pytest

from pycaffe_lite.engines.onednn import _normalization
from pycaffe_lite.engines.onednn._primitive import Primitive


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
