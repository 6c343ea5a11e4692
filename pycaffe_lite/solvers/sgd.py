"""SGD: stochastic gradient descent with momentum.

    v ← momentum · v + rate · g
    w ← w − v

Bottou, L.: Stochastic gradient descent tricks. Neural Networks: Tricks of the Trade, 2012.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from pycaffe_lite import engines
from pycaffe_lite._typing import Array
from pycaffe_lite.solvers.solver import Solver
from pycaffe_lite.solvers.types import register_solver
from pycaffe_lite.solvers.update import Block


@register_solver("SGD")
class SGDSolver(Solver):
    """Stochastic gradient descent with momentum."""

    @functools.cached_property
    def _make_steps(self) -> Callable[[Array, Array, Array, float], engines.MomentumStep | None] | None:
        return engines.momentum_steps(self.net.dtype)

    def _begin_update(self) -> None:
        self._blocks_at_once = self._make_steps is None or self.param.regularization_type != "L2"

    def _update_block(self, block: Block, rate: float, decay: float, scratch: Array) -> Array:
        """In the engine's way, if it has one: v ← momentum · v + rate · g + rate · decay · w."""
        momentum, (v,) = self.param.momentum, block.history
        if self._blocks_at_once or self._make_steps is None:
            return super()._update_block(block, rate, decay, scratch)
        if block.kept is None or block.kept[0] != momentum:
            block.kept = momentum, self._make_steps(block.weights, v, block.diff, momentum)
        step = block.kept[1]
        if step is None:
            return super()._update_block(block, rate, decay, scratch)
        step(rate, rate * decay)
        return v

    def _compute_update(self, diff: Array, history: tuple[Array, ...], rate: float, scratch: Array) -> Array:
        (v,) = history
        v *= self.param.momentum
        v += np.multiply(diff, rate, out=scratch)
        return v
