"""SGD: stochastic gradient descent with momentum.

    v ← momentum · v + rate · g
    w ← w − v

Bottou, L.: Stochastic gradient descent tricks. Neural Networks: Tricks of the Trade, 2012.
"""

from __future__ import annotations

from pycaffe_lite._typing import Array
from pycaffe_lite.solvers.solver import Solver
from pycaffe_lite.solvers.types import register_solver


@register_solver("SGD")
class SGDSolver(Solver):
    """Stochastic gradient descent with momentum."""

    def _compute_update(self, diff: Array, history: tuple[Array, ...], rate: float, scratch: Array) -> None:
        (v,) = history
        diff *= rate
        v *= self.param.momentum
        v += diff
        diff[...] = v
