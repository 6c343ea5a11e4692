"""Adam: running means of the gradient (m) and of its square (v), corrected for having begun at zero.

    m ← β₁ · m + (1 − β₁) · g
    v ← β₂ · v + (1 − β₂) · g²
    w ← w − rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + delta),    t = 1, 2, ...

β₁ is momentum, β₂ momentum2.

Kingma, D., Ba, J.: Adam: a method for stochastic optimization. ICLR 2015.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import Constraint, above, between
from pycaffe_lite.solvers.solver import Solver
from pycaffe_lite.solvers.types import register_solver


@register_solver("Adam")
class AdamSolver(Solver):
    """Adaptive moment estimation.

    Differences from Caffe: delta must be above 0, momentum and momentum2 at least 0 and below 1, else weights would
    become NaN.
    """

    constraints: ClassVar[Mapping[str, Constraint]] = {
        "momentum": between(0, 1),
        "momentum2": between(0, 1),
        "delta": above(0),
    }
    histories = 2

    def _begin_update(self) -> None:
        t = self.iter + 1
        self._correction = math.sqrt(1 - self.param.momentum2**t) / (1 - self.param.momentum**t)

    def _compute_update(self, diff: Array, history: tuple[Array, ...], rate: float, scratch: Array) -> Array:
        m, v = history
        beta1, beta2 = self.param.momentum, self.param.momentum2
        m *= beta1
        np.multiply(diff, 1 - beta1, out=scratch)
        m += scratch
        np.square(diff, out=scratch)
        scratch *= 1 - beta2
        v *= beta2
        v += scratch
        np.sqrt(v, out=scratch)
        scratch += self.param.delta
        np.divide(m, scratch, out=diff)
        diff *= rate * self._correction
        return diff
