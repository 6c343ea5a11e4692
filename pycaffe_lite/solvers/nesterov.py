"""Nesterov: SGD whose step already takes the next one's momentum into account.

    v' ← momentum · v + rate · g
    w  ← w − ((1 + momentum) · v' − momentum · v)

Nesterov, Y.: A method of solving a convex programming problem with convergence rate O(1/k²). Soviet Mathematics
Doklady, 1983; in this form Sutskever, I. et al.: On the importance of initialization and momentum in deep learning.
ICML 2013.
"""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.solvers.solver import Solver
from pycaffe_lite.solvers.types import register_solver


@register_solver("Nesterov")
class NesterovSolver(Solver):
    """SGD with Nesterov's accelerated gradient."""

    def _compute_update(self, diff: Array, history: tuple[Array, ...], rate: float, scratch: Array) -> Array:
        (v,) = history
        momentum = self.param.momentum
        np.multiply(v, momentum, out=scratch)
        diff *= rate
        np.add(diff, scratch, out=v)
        np.multiply(v, 1 + momentum, out=diff)
        diff -= scratch
        return diff
