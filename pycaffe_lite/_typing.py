"""Names for the types that everything passes around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""A numpy array of whatever number type its owner says."""

FloatArray = npt.NDArray[np.floating[Any]]

Shape = tuple[int, ...]
"""Axes from the outermost in, as in Caffe: (num, channels, height, width) for images."""

ShapeLike = Sequence[int]

OnProgress = Callable[[int, int], None]
"""Told (done, total) now and then, and at the end."""
