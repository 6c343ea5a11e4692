"""Memory: how much there is, aligned arrays."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from pycaffe_lite import memory
from pycaffe_lite.errors import MemoryLimitError
from pycaffe_lite.memory import aligned, check_memory, human_bytes


def test_arrays_side_by_side() -> None:
    sizes = (1, 15, 16, 17, 100_003, 0, memory.CHUNK // 8, memory.CHUNK // 8 + 1, 1_500_000)
    arrays = [aligned(count, np.float32) for count in sizes]
    for number, (array, count) in enumerate(zip(arrays, sizes, strict=True)):
        assert array.shape == (count,)
        assert not array.any()
        assert array.ctypes.data % memory.CACHE_LINE == 0 or not count
        array[...] = number + 1
    assert all((array == number).all() for number, array in enumerate(arrays, start=1)), "none lies over another"


def test_a_chunk_goes_with_its_last_array() -> None:
    chunk = memory.CHUNK // 4
    first, *others = (aligned(chunk, np.uint8) for _ in range(9))
    whole = weakref.ref(first.base)
    del others
    assert whole() is not None
    del first
    assert whole() is None


def test_check_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 2048)
    check_memory(2048, "It")
    with pytest.raises(MemoryLimitError, match=r"^It needs 2\.0 KiB, this machine has 2\.0 KiB\. Is a dimension"):
        check_memory(2049, "It")


def test_the_limit_is_plausible() -> None:
    assert 2**28 < memory.memory_limit() <= 2**62


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (3.5 * 1024**3, "3.5 GiB"),
        (1024**4, "1.0 TiB"),
        (1024**5, "1.0 PiB"),
        (5 * 1024**6, "5120.0 PiB"),
    ],
)
def test_human_bytes(n: float, text: str) -> None:
    assert human_bytes(n) == text
