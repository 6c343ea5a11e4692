"""What a solver tells of its work: Caffe's log lines, which log parsers read, and events for programs that watch."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from pycaffe_lite._typing import Array
from pycaffe_lite.net import Net

log = logging.getLogger(__name__)


class Event(NamedTuple):
    """Something that a solver has just done, or is about to do.

    - "iteration": `iter` iterations are done; the last had the smoothed loss `loss` and the learning rate `lr`.
    - "testing": `done` of `total` batches of the test net number `what` are through, beginning with 0.
    - "tested": all of them are; `outputs` has the mean of each output of the net, by name.
    - "snapshotting", "snapshot": the weights file `what` is about to be written, has been.
    """

    kind: Literal["iteration", "testing", "tested", "snapshotting", "snapshot"]
    iter: int
    loss: float
    lr: float
    what: str = ""
    done: int = 0
    total: int = 0
    outputs: Mapping[str, Array] = MappingProxyType({})


Watcher = Callable[[Event], object]


class SmoothedLoss:
    """The mean of the last `size` losses, some of which may be known from before."""

    def __init__(self, size: int, losses: Iterable[float] = ()) -> None:
        self.losses: deque[float] = deque(maxlen=size)
        self.value = 0.0
        for loss in losses:
            self.add(loss)

    def add(self, loss: float) -> None:
        if math.isfinite(self.value) and not math.isfinite(loss):
            log.warning("The loss is %g: try a lower base_lr or clip_gradients, and look at the data", loss)
        self.losses.append(loss)
        self.value = sum(self.losses) / len(self.losses)


class Clock:
    """Time and iterations since the last display."""

    def __init__(self, iteration: int) -> None:
        self.start(iteration)

    def start(self, iteration: int) -> None:
        self._iteration, self._time = iteration, time.perf_counter()

    def lap(self, iteration: int) -> tuple[float, float]:
        """Iterations per second and seconds since the last lap; begins a new one."""
        seconds = time.perf_counter() - self._time
        speed = (iteration - self._iteration) / (seconds or 1)
        self.start(iteration)
        return speed, round(seconds, 3)


def log_outputs(phase: str, net: Net, outputs: Mapping[str, Array]) -> None:
    """Log what the net put out, number by number; `phase` is "Train" or "Test"."""
    weights = net.blob_loss_weights
    index = 0
    for name, array in outputs.items():
        weight = weights[name]
        for value in array.ravel().tolist():
            loss = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
            log.info("    %s net output #%d: %s = %g%s", phase, index, name, value, loss)
            index += 1
