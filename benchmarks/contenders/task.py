"""What contenders are given: which net in which mode, and the files that `prepare` has written for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Results = dict[str, Array]
Message = dict[str, Any]
"""A layer's message as a dict, field names as in prototxt; fields that are not set are missing."""
MOMENTUM = 0.9
WEIGHT_DECAY = 0.0005
TRAIN, INFER, PASSES = "train", "infer", "passes"
REUSE = "reuse_memory"
"""In the name of a variant of ours: nets with reuse_memory=True."""


@dataclass(frozen=True)
class Task:
    """`mode` is TRAIN, a solver's steps; INFER, a net's use; or PASSES, forward and backward to the data."""

    folder: str
    mode: str
    batch: int
    threads: int
    variant: str = ""
    lr: float = 1e-6
    """So small that all steps of a measurement meet the same numbers."""
    dropout: bool = True
    """False where contenders are compared, since each draws its own random numbers."""
    clock: str = "perf_counter"
    """Python's name of what measures: process_time, with one thread, on a machine that does other work too."""

    def path(self, name: str) -> str:
        return str(Path(self.folder) / name)

    def data(self) -> Array:
        return self._input("data")

    def labels(self) -> Array:
        return self._input("label")

    def _input(self, name: str) -> Array:
        whole: Array = np.load(self.path(f"{name}.npy"))
        return np.ascontiguousarray(whole[: self.batch])

    def layers(self) -> list[Message]:
        """The layers of the mode's phase."""
        layers: list[Message] = json.loads(Path(self.path(f"{self.mode}.json")).read_text(encoding="utf-8"))
        return [layer for layer in layers if self.dropout or layer["type"] != "Dropout"]

    def weights(self, layer: str) -> list[Array]:
        return [np.load(path) for path in sorted(Path(self.folder).glob(f"{file_name(layer)}.weights.*.npy"))]

    def text(self) -> str:
        return json.dumps(asdict(self))


def file_name(layer: str) -> str:
    return layer.replace("/", "_")


class Contender(Protocol):
    """A net that is built for a task. Building it and running it once takes all the memory that it needs."""

    def __init__(self, task: Task) -> None: ...

    def run(self, count: int) -> None:
        """Run so many iterations."""

    def reshape(self, batch: int) -> None:
        """Take as many items from now on, at most the task's batch."""

    def results(self) -> Results:
        """What contenders must agree on, of the last iteration: outputs (INFER) or loss and weights (TRAIN)."""


def sample(weights: Array) -> Array:
    """Some thousand of a blob's numbers, evenly spread."""
    flat = weights.reshape(-1)
    return np.array(flat[:: max(1, flat.size // 1000)])
