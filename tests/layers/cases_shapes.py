"""More of the table of layer cases; see cases.py."""

from __future__ import annotations

from pycaffe_lite.testing import LayerCase

CASES: list[LayerCase] = []
