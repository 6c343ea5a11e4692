"""RMSProp: each weight's rate follows the size of its recent gradients.

    h ← rms_decay · h + (1 − rms_decay) · g²
    w ← w − rate · g / (√h + delta)

Tieleman, T., Hinton, G.: RMSProp: divide the gradient by a running average of its recent magnitude. COURSERA: Neural
Networks for Machine Learning, lecture 6.5, 2012.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import Constraint, above, between
from pycaffe_lite.solvers.settings import no_momentum
from pycaffe_lite.solvers.solver import Solver
from pycaffe_lite.solvers.types import register_solver


@register_solver("RMSProp")
class RMSPropSolver(Solver):
    """Gradients divided by their running root mean square; takes no momentum.

    Differences from Caffe: delta must be above 0, else a gradient of 0 would make a weight NaN.
    """

    constraints: ClassVar[Mapping[str, Constraint]] = {
        "momentum": no_momentum("RMSProp"),
        "rms_decay": between(0, 1),
        "delta": above(0),
    }

    def _compute_update(self, diff: Array, history: tuple[Array, ...], rate: float, scratch: Array) -> Array:
        (h,) = history
        decay = self.param.rms_decay
        np.square(diff, out=scratch)
        scratch *= 1 - decay
        h *= decay
        h += scratch
        np.sqrt(h, out=scratch)
        scratch += self.param.delta
        diff /= scratch
        diff *= rate
        return diff
