"""Statistics of large arrays, in one pass through memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pycaffe_lite._typing import Array

# In float64 a chunk and its copies stay in a core's second-level cache.
_CHUNK = 1 << 14


@dataclass
class Statistics:
    """How many numbers are finite, NaN or infinite, and what the finite ones are like."""

    finite: int = 0
    nan: int = 0
    inf: int = 0
    mean: float = 0.0
    mean_abs: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    squares: float = 0.0
    """Sum of squared deviations from the mean."""

    @property
    def std(self) -> float:
        """Standard deviation of all the numbers (not an estimate from a sample); 0 for none."""
        return math.sqrt(self.squares / self.finite) if self.finite else 0.0

    def add(self, x: Array) -> None:
        """Take in some finite float64 numbers; merging is Chan, Golub and LeVeque's (1979), which does not cancel."""
        n = x.size
        if not n:
            return
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        total, mean = self.finite + n, float(x.mean())
        delta = mean - self.mean
        self.mean_abs += (float(np.abs(x).mean()) - self.mean_abs) * n / total
        deviations = x - mean
        self.squares += float(np.dot(deviations, deviations)) + delta * delta * self.finite * n / total
        self.mean += delta * n / total
        self.finite = total


def statistics(array: Array) -> Statistics:
    """The statistics of all numbers of an array, without a copy of one that lies in one piece, whatever its order."""
    found = Statistics()
    flat = array.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):  # float64 numbers near its end; float32 ones cannot
        for start in range(0, flat.size, _CHUNK):
            x = flat[start : start + _CHUNK].astype(np.float64)
            if not np.isfinite(x.sum()):
                finite = np.isfinite(x)
                nan = int(np.isnan(x).sum())
                found.nan += nan
                found.inf += x.size - int(finite.sum()) - nan
                x = x[finite]
            found.add(x)
    return found
