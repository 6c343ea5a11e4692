"""How a broken promise is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.testing.cases import Gradients, LayerCase


def promise(case: LayerCase, kept: bool | np.bool_, what: str) -> None:
    if not kept:
        raise AssertionError(f"{case}: broken: {what}")


def places(wanted: Sequence[bool], without: int = -1) -> list[int]:
    """The places that are wanted, except one."""
    return [k for k, w in enumerate(wanted) if w and k != without]


def close(case: LayerCase, got: Array, want: Array, what: str, tolerance: float = 1e-9) -> None:
    promise(case, got.shape == want.shape, f"{what}: shape {got.shape} is not {want.shape}")
    scale = max(1.0, float(np.abs(want).max(initial=0)))
    error = np.abs(got - want).max(initial=0) / scale
    promise(case, error <= tolerance, f"{what}: it is off by {error:.2e}")


def same_gradients(
    case: LayerCase,
    got: Gradients,
    want: Gradients,
    what: str,
    *,
    bottoms: Sequence[int],
    params: Sequence[int] | None = None,
    tolerance: float = 1e-9,
) -> None:
    for i in bottoms:
        close(case, got.bottoms[i], want.bottoms[i], f"{what}, bottom {i}'s gradient is the same", tolerance)
    for j in range(len(want.params)) if params is None else params:
        close(case, got.params[j], want.params[j], f"{what}, parameter {j}'s gradient is the same", tolerance)


def unchanged(case: LayerCase, got: Sequence[Array], want: Sequence[Array], what: str) -> None:
    for a, b in zip(got, want, strict=True):
        promise(case, np.array_equal(a, b, equal_nan=True), what)
