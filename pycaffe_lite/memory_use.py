"""Memory: what a net's blobs, parameters and layers hold now, and the most that the process ever did."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from pycaffe_lite.memory import human_bytes
from pycaffe_lite.storage import Storage

if TYPE_CHECKING:
    from pycaffe_lite.net import Net


@dataclass(frozen=True)
class MemoryUse:
    """Bytes by what they are for. What several blobs share counts once, and what nobody has looked at not at all."""

    data: int
    gradients: int
    """Of the blobs."""
    parameters: int
    parameter_gradients: int
    working_memory: int
    """The layers' own, kept from pass to pass."""

    @property
    def total(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        """'data 84.3 MiB, gradients 0 bytes, parameters 4.8 MiB, ...'."""
        return ", ".join(f"{f.name.replace('_', ' ')} {human_bytes(getattr(self, f.name))}" for f in fields(self))


def memory_use(net: Net) -> MemoryUse:
    """What the net holds now."""
    blobs = [top for node in net._nodes for top in node.tops]
    params = [blob for layer in net.layers for blob in layer.blobs]
    return MemoryUse(
        data=_held(blob._data for blob in blobs),
        gradients=_held(blob._diff for blob in blobs),
        parameters=_held(blob._data for blob in params),
        parameter_gradients=_held(blob._diff for blob in params),
        working_memory=sum(_working(net).values()),
    )


def _working(net: Net) -> dict[int, int]:
    """Sizes of the layers' working memory, each once."""
    found = {}
    for layer in net.layers:
        own = [whole for whole, _ in layer._scratch_arrays.values()]
        found.update({id(memory): memory.nbytes for memory in [*own, *(layer._shared_scratch or {}).values()]})
    return found


def peak_memory() -> int | None:
    """The most bytes that the process has had in memory at once; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _held(storages: Iterable[Storage]) -> int:
    memories = {id(memory): memory.held for storage in storages for memory in storage.memories()}
    return sum(memories.values())
