"""Figures for notebooks, windows and files alike."""

from __future__ import annotations

from typing import Any

from pycaffe_lite._extras import require
from pycaffe_lite._files import PathLike, atomic_write
from pycaffe_lite.errors import ParameterError


def new_figure(width: float, height: float) -> Any:
    """An empty Figure of a size in inches.

    pyplot keeps hold of it only where it can open windows: a notebook would show it twice, a script never let go of it.
    """
    pyplot = require("matplotlib.pyplot", "plot")
    figure = pyplot.figure(figsize=(width, height), layout="constrained")
    if figure.canvas.required_interactive_framework is None:
        pyplot.close(figure)
    return figure


def save(figure: Any, path: PathLike) -> None:
    """Write a figure, whole or not at all, in the format of the file's ending; raises ParameterError for others."""
    ending = str(path).rpartition(".")[2].lower()
    known = sorted(figure.canvas.get_supported_filetypes())
    if ending not in known:
        raise ParameterError(f"Plots are not written as {str(path)!r}", hint=f"Known endings: {', '.join(known)}.")
    with atomic_write(path) as part:
        figure.savefig(part, format=ending)
