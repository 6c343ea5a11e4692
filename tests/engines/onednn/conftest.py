from __future__ import annotations

import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.engines.onednn._primitive import Primitive


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Primitive]:
    """The primitives that run from now on."""
    found: list[Primitive] = []
    run = Primitive.__call__

    def noted(self: Primitive, *arrays: Array) -> None:
        found.append(self)
        run(self, *arrays)

    monkeypatch.setattr(Primitive, "__call__", noted)
    return found
