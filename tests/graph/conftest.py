"""What tests of nets that reuse memory, and of passes that are done again, share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.buffer import Buffer
from pycaffe_lite.graph.again import Pass


@pytest.fixture
def poisoned_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that buffers hand out holds nothing that could be taken for a number."""
    take = Buffer.take

    def poisoned(self: Buffer, *args: Any) -> Array:
        memory = take(self, *args)
        memory.fill(np.nan)
        return memory

    monkeypatch.setattr(Buffer, "take", poisoned)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many nodes of each pass, or step, were done again."""
    found: list[int] = []
    run = Pass.run

    def counted(self: Pass) -> tuple[int, float]:
        found.append(0)
        found[-1], loss = run(self)
        return found[-1], loss

    monkeypatch.setattr(Pass, "run", counted)
    return found
