"""Comparing arrays."""

from __future__ import annotations

from pycaffe_lite._typing import Array


def is_same(a: Array, b: Array) -> bool:
    """Whether they are one array by two names: the same memory, shape, strides and type."""
    mine: bool = a.__array_interface__ == b.__array_interface__
    return mine
