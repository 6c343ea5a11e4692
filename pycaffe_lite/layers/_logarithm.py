"""What Exp and Log share: the base of a power or logarithm, for which -1 stands for e."""

from __future__ import annotations

import math

from pycaffe_lite.constraints import Constraint


def positive_base(*excluded: float) -> Constraint:
    """-1 or above 0, and none of those excluded."""
    but = "".join(f" other than {e:g}" for e in excluded)
    return Constraint(lambda v: v == -1 or (v > 0 and v not in excluded), f"must be -1, for e, or positive{but}", 0.0)


def natural_log(base: float) -> float:
    """ln base."""
    return 1.0 if base == -1 else math.log(base)
