"""Early stopping: training ends when a test's score has not become better for some tests."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import Constraint, at_least, check
from pycaffe_lite.errors import ParameterError, did_you_mean
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2 as pb

log = logging.getLogger(__name__)

CONSTRAINTS: Mapping[str, Constraint] = {
    "early_stopping.patience": at_least(1),
    "early_stopping.min_delta": at_least(0),
    "early_stopping.test_net": at_least(0),
    "early_stopping.mode": Constraint(lambda v: v in ("min", "max"), 'must be "min" or "max"', "auto"),
}
STATE = ("monitor", "mode", "test_net", "best", "best_iter", "tests_since")
"""What a snapshot remembers: of what score, and how it stands."""


class EarlyStopping:
    """What the solver's `early_stopping` asks for, and the best score so far.

    The score is the mean of output `monitor` over a test of test net number `test_net`. It is better than `best` when
    it is lower (mode "min") or higher ("max") by more than `min_delta`; NaN never is. Training is to stop after
    `patience` tests in a row that were not better. Each test counts, also the one before the first iteration.

    Raises ParameterError for fields that cannot be, a test net that is not there, and an output that is not there or
    not one number.
    """

    def __init__(self, message: pb.SolverParameter, test_nets: Sequence[Net]) -> None:
        check(message, CONSTRAINTS)
        p = message.early_stopping
        if p.test_net >= len(test_nets):
            raise ParameterError(
                f"Early stopping looks at test net #{p.test_net}, there are {len(test_nets)} test nets",
                field="early_stopping.test_net" if p.HasField("test_net") else "early_stopping",
                hint="Give test_iter and test_interval." if not test_nets else "They count from 0.",
            )
        self.test_net = p.test_net
        self.monitor, self.mode = p.monitor, p.mode
        self.patience, self.min_delta = p.patience, p.min_delta
        self.best: float | None = None
        self.best_iter = -1
        """The iteration of the best test; -1 before any."""
        self.tests_since = 0
        """How many tests there have been since, none better."""
        self._check_monitor(test_nets[p.test_net])

    def _check_monitor(self, net: Net) -> None:
        where = "early_stopping.monitor" if self.monitor else "early_stopping"
        if self.monitor not in net.outputs:
            raise ParameterError(
                f"Test net #{self.test_net} has no output '{self.monitor}' to monitor",
                field=where,
                hint=did_you_mean(self.monitor, net.outputs) or f"Its outputs are {', '.join(net.outputs) or 'none'}.",
            )
        if net.blobs[self.monitor].count != 1:
            raise ParameterError(
                f"Output '{self.monitor}' has shape {net.blobs[self.monitor].shape}, to monitor takes one number",
                field=where,
            )

    @property
    def exhausted(self) -> bool:
        """Whether training is to stop."""
        return self.tests_since >= self.patience

    def update(self, iteration: int, outputs: Mapping[str, Array]) -> bool:
        """Take note of a test's mean outputs; True if its score is the best so far."""
        score = float(outputs[self.monitor].item())
        sign = 1 if self.mode == "max" else -1
        better = not math.isnan(score) if self.best is None else sign * (score - self.best) > self.min_delta
        if better:
            self.best, self.best_iter, self.tests_since = score, iteration, 0
            log.info("Early stopping: Iteration %d, %s = %g is the best so far", iteration, self.monitor, score)
        else:
            self.tests_since += 1
        return better

    def __str__(self) -> str:
        """Why training stops."""
        best = f"best, {self.best:g}, at iteration {self.best_iter}" if self.best is not None else "never a number"
        return f"{self.monitor} was {best}, and has not become better in {self.tests_since} tests"

    def state(self) -> dict[str, Any]:
        """What to remember in a snapshot, as plain values."""
        return {name: getattr(self, name) for name in STATE}

    def set_state(self, state: Mapping[str, Any] | None) -> None:
        """Go on from there; where the snapshot has none, or another score was looked at, from the beginning."""
        mine = self.state()
        if state and all(state[name] == mine[name] for name in ("monitor", "mode", "test_net")):
            self.best, self.best_iter = state["best"], state["best_iter"]
            self.tests_since = state["tests_since"]
            return
        self.best, self.best_iter, self.tests_since = None, -1, 0
        log.info("Early stopping: the snapshot says nothing of %s, which is watched from now on", self.monitor)
