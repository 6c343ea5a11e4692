"""What tests of nets that reuse memory share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.buffer import Buffer


@pytest.fixture
def poisoned_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that buffers hand out holds nothing that could be taken for a number."""
    take = Buffer.take

    def poisoned(self: Buffer, *args: Any) -> Array:
        memory = take(self, *args)
        memory.fill(np.nan)
        return memory

    monkeypatch.setattr(Buffer, "take", poisoned)
