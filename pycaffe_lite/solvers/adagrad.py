"""AdaGrad: each weight's rate goes down with the gradients that it has seen.

    h ← h + g²
    w ← w − rate · g / (√h + delta)

Duchi, J., Hazan, E., Singer, Y.: Adaptive subgradient methods for online learning and stochastic optimization.
JMLR 2011.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import Constraint, above
from pycaffe_lite.solvers.settings import no_momentum
from pycaffe_lite.solvers.solver import Solver
from pycaffe_lite.solvers.types import register_solver


@register_solver("AdaGrad")
class AdaGradSolver(Solver):
    """Adaptive subgradient descent; takes no momentum.

    Differences from Caffe: delta must be above 0, else a gradient of 0 would make a weight NaN.
    """

    constraints: ClassVar[Mapping[str, Constraint]] = {"momentum": no_momentum("AdaGrad"), "delta": above(0)}

    def _compute_update(self, diff: Array, history: tuple[Array, ...], rate: float, scratch: Array) -> Array:
        (h,) = history
        np.square(diff, out=scratch)
        h += scratch
        np.sqrt(h, out=scratch)
        scratch += self.param.delta
        diff /= scratch
        diff *= rate
        return diff
