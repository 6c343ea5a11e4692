from __future__ import annotations

import pytest

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
