"""A solver's tests: when one is due, the means of the nets' outputs over some batches, and what follows from them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.net import Net
from pycaffe_lite.solvers import nets
from pycaffe_lite.solvers.display import log_outputs
from pycaffe_lite.solvers.early_stopping import EarlyStopping
from pycaffe_lite.solvers.resume import LayerStates, layer_states

if TYPE_CHECKING:
    from pycaffe_lite.solvers.settings import Settings

log = logging.getLogger(__name__)

GoOn = Callable[[int, int, int], bool]
Tested = Callable[[int, int, "dict[str, Array]"], object]


class Tests:
    """The test nets of a solver, which test the weights of its training net."""

    def __init__(self, test_nets: Sequence[Net], train_net: Net, early: EarlyStopping | None) -> None:
        self._nets, self._train_net, self._early = test_nets, train_net, early
        self.made = False
        """Whether the test of this iteration has been made."""
        self._states_before: list[LayerStates] | None = None

    def due(self, p: Settings, iteration: int) -> bool:
        """Whether a test comes before this iteration, and has not been made."""
        when = p.test_interval and iteration % p.test_interval == 0 and (iteration or p.test_initialization)
        return bool(when) and not self.made

    def run(self, p: Settings, iteration: int, go_on: GoOn, tested: Tested) -> bool:
        """Test with all nets; whether the score that early stopping looks at is the best so far.

        `go_on` is asked before each batch, with the net's number, the number of batches, and the batch's; when it says
        no, that is the end of it. `tested` is told of each net its number, the batches and the mean outputs.
        """
        # A test that is interrupted is made again from its beginning after a snapshot has been restored.
        self._states_before = [layer_states(net) for net in self._nets]
        scores = []
        for i, (net, batches) in enumerate(zip(self._nets, p.test_iter, strict=True)):
            log.info("Iteration %d, Testing net (#%d)", iteration, i)
            nets.share_weights(net, self._train_net)
            means = run_test(net, batches, p.test_compute_loss, functools.partial(go_on, i, batches))
            if means is None:
                return False
            tested(i, batches, means)
            scores.append(means)
        self.made, self._states_before = True, None
        return self._early is not None and self._early.update(iteration, scores[self._early.test_net])

    def layer_states(self) -> list[LayerStates]:
        """Where the layers of the test nets stand, for a snapshot: of an unfinished test, at its beginning."""
        return self._states_before or [layer_states(net) for net in self._nets]

    def resumed(self, made: bool) -> None:
        """A snapshot has been restored, which was written before or after the test of its iteration."""
        self.made, self._states_before = made, None


def run_test(net: Net, batches: int, compute_loss: bool, go_on: Callable[[int], bool]) -> dict[str, Array] | None:
    """Run so many batches through the net; log and return its mean outputs by name; log its loss if `compute_loss`.

    `go_on` is asked before each batch, with its number; when it says no, the test ends and there is nothing to
    return. Raises ShapeError for outputs that differ in size from batch to batch: they have no mean.
    """
    last = len(net._nodes) - 1
    loss = 0.0
    sums: dict[str, Array] = {}
    for i in range(batches):
        if not go_on(i):
            log.info("Test interrupted.")
            return None
        loss += net._forward(0, last)
        for name in net.outputs:
            output = net.blobs[name].data
            total = sums.setdefault(name, np.zeros(output.shape, np.float64))
            if total.shape != output.shape:
                raise ShapeError(
                    f"Test output '{name}' has shape {output.shape} in batch {i}, before {total.shape}",
                    hint="Consume it, with a Silence layer for one.",
                )
            total += output
    if compute_loss:
        log.info("Test loss: %g", loss / batches)
    for total in sums.values():
        total /= batches
    log_outputs("Test", net, sums)
    return sums
