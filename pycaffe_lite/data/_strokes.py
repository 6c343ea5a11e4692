"""How the ten digits are written: pen strokes as smooth curves through points.

Points are "x,y" in a box 100 wide and 100 high, y downwards. A stroke is a curve through its points; "/" makes the
point before it a corner; ";" lifts the pen. All forms are our own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import FloatArray

SAMPLES = 96
"""Points along each form's curve."""

FORMS: dict[int, tuple[str, ...]] = {
    0: (
        "55,0 28,10 12,48 24,88 50,100 76,88 88,46 74,10 50,1",
        "66,8 40,2 14,28 10,64 32,98 66,90 88,52 80,16 54,6 38,16",
    ),
    1: (
        "52,0 50,50 48,100",
        "28,26 42,16 54,0 / 53,50 52,100",
        "30,22 54,0 / 52,100 ; 24,100 80,99",
    ),
    2: (
        "16,24 28,5 54,0 78,14 78,36 56,64 14,98 / 50,97 88,96",
        "18,22 34,3 62,2 80,22 70,50 40,80 18,96 14,84 32,80 56,94 74,98 90,90",
    ),
    3: (
        "18,12 44,0 72,8 76,28 58,44 36,48 / 62,50 84,68 76,92 46,100 14,88",
        "16,4 80,2 / 44,40 / 70,44 86,66 74,92 44,100 14,90",
        "18,14 42,0 70,6 76,26 60,44 46,50 64,54 82,72 72,94 44,100 14,88",
    ),
    4: (
        "24,2 18,34 14,58 / 46,58 86,54 ; 72,4 66,50 62,100",
        "62,0 38,30 12,66 / 52,66 90,64 ; 64,2 63,50 62,100",
        "20,4 20,30 30,50 56,52 72,42 80,2 / 76,50 70,100",
    ),
    5: (
        "80,2 26,4 / 22,42 / 50,36 78,48 82,74 60,96 34,100 12,88",
        "28,4 22,44 / 46,36 76,46 84,72 62,98 36,99 14,88 ; 27,5 56,3 84,2",
    ),
    6: (
        "72,0 42,20 20,56 22,86 48,100 76,88 80,66 58,52 32,60 20,78",
        "60,0 32,32 18,66 28,94 54,100 78,84 76,62 52,54 26,70",
    ),
    7: (
        "14,8 48,6 84,3 / 62,44 42,100",
        "12,6 50,8 86,2 / 66,40 50,70 40,100 ; 30,52 54,50 78,48",
        "16,24 15,8 / 50,6 86,4 / 60,50 52,100",
    ),
    8: (
        "78,14 52,0 26,14 32,36 58,52 80,74 66,96 42,99 20,80 34,58 64,40 80,20 70,6",
        "52,48 28,34 26,12 50,0 74,10 74,32 52,48 24,64 18,84 44,100 74,94 82,72 54,49",
    ),
    9: (
        "76,20 54,2 26,12 20,36 40,52 64,44 78,16 / 76,56 68,100",
        "78,18 58,0 30,10 20,34 36,52 62,46 78,18 80,50 68,86 44,100 22,92",
        "72,8 44,4 22,24 30,46 58,42 76,10 70,54 56,100",
    ),
}


class Form(NamedTuple):
    """One way of writing a digit: `points` (P, 2) and the stroke each is of (P,).

    `basis` (SAMPLES, P) turns points into a curve; `gaps` (SAMPLES,) is 0 where the curve ends after a sample, else 1.
    """

    points: FloatArray
    strokes: npt.NDArray[np.intp]
    basis: FloatArray
    gaps: FloatArray


def parse_form(text: str) -> Form:
    """The form written as in `FORMS`, coordinates in 0..1."""
    points: list[list[float]] = []
    strokes: list[int] = []
    curves: list[list[int]] = []  # indices into points; curves that meet in a corner share that index
    for number, stroke in enumerate(text.split(";")):
        corner: list[int] = []
        for curve in stroke.split("/"):
            new = [[float(v) / 100 for v in xy.split(",")] for xy in curve.split()]
            indices = list(range(len(points), len(points) + len(new)))
            points += new
            strokes += [number] * len(new)
            curves.append(corner + indices)
            corner = indices[-1:]
    array = np.array(points)
    lengths = np.array([np.linalg.norm(np.diff(array[c], axis=0), axis=1).sum() for c in curves])
    # Each curve gets samples in proportion to its length, and the longest what rounding leaves.
    counts = np.maximum(np.floor(SAMPLES * lengths / lengths.sum()), 2).astype(int)
    counts[lengths.argmax()] += SAMPLES - counts.sum()
    basis = np.concatenate([_curve_basis(c, n, array) for c, n in zip(curves, counts, strict=True)])
    gaps = np.ones(SAMPLES)
    gaps[np.cumsum(counts) - 1] = 0
    return Form(array, np.array(strokes), basis, gaps)


def _curve_basis(indices: list[int], count: int, points: FloatArray) -> FloatArray:
    """(count, P) weights of a Catmull-Rom curve through the points, sampled evenly along its chords."""
    chords = np.linalg.norm(np.diff(points[indices], axis=0), axis=1)
    knots = np.concatenate([[0.0], np.cumsum(chords)])
    basis = np.zeros((count, len(points)))
    for row, at in enumerate(np.linspace(0, knots[-1], count)):
        segment = min(int(np.searchsorted(knots, at, side="right")) - 1, len(chords) - 1)
        t = (at - knots[segment]) / chords[segment]
        weights = np.array([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]) / 2
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            neighbour = min(max(segment + offset, 0), len(indices) - 1)
            basis[row, indices[neighbour]] += weight
    return basis
