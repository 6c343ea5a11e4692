"""AdaDelta: updates in the weights' own unit, from running squares of gradients (h) and of earlier updates (u).

    h ← momentum · h + (1 − momentum) · g²
    d ← g · √((delta + u) / (delta + h))
    u ← momentum · u + (1 − momentum) · d²
    w ← w − rate · d

Zeiler, M.: ADADELTA: an adaptive learning rate method. arXiv:1212.5701, 2012. There the rate is 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import Constraint, above
from pycaffe_lite.solvers.settings import decay_factor
from pycaffe_lite.solvers.solver import Solver
from pycaffe_lite.solvers.types import register_solver


@register_solver("AdaDelta")
class AdaDeltaSolver(Solver):
    """Adaptive descent without a rate to choose; momentum is the decay of both running means.

    Differences from Caffe: delta must be above 0 and momentum from 0 to 1, else weights would become NaN.
    """

    constraints: ClassVar[Mapping[str, Constraint]] = {"momentum": decay_factor(), "delta": above(0)}
    histories = 2

    def _compute_update(self, diff: Array, history: tuple[Array, ...], rate: float, scratch: Array) -> Array:
        h, u = history
        momentum, delta = self.param.momentum, self.param.delta
        np.square(diff, out=scratch)
        scratch *= 1 - momentum
        h *= momentum
        h += scratch
        np.add(h, delta, out=scratch)
        np.sqrt(scratch, out=scratch)
        diff /= scratch
        np.add(u, delta, out=scratch)
        np.sqrt(scratch, out=scratch)
        diff *= scratch
        np.square(diff, out=scratch)
        scratch *= 1 - momentum
        u *= momentum
        u += scratch
        diff *= rate
        return diff
