"""Curves from training logs: the eight charts of Caffe's plot_training_log.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pycaffe_lite._files import PathLike
from pycaffe_lite.errors import DataError, ParameterError
from pycaffe_lite.plot._figure import new_figure
from pycaffe_lite.training_log import Point, TrainingLog, read_log

CHARTS = tuple(
    (what, over)
    for what in ("Test accuracy", "Test loss", "Train learning rate", "Train loss")
    for over in ("Iters", "Seconds")
)
"""The charts by number: what is drawn, and over what."""


def training(chart: int, logs: PathLike | Sequence[PathLike]) -> Any:
    """A chart of one or several logs, a curve for each; returns the Figure. `chart` is an index of CHARTS.

    Test losses are the test nets' outputs that have a loss weight, accuracies those that have none: where there are
    several, each is a curve. Raises ParameterError for another chart, DataError for a log without what is to be drawn,
    MissingFileError.
    """
    if chart not in range(len(CHARTS)):
        known = "; ".join(f"{i}: {what} vs. {over}" for i, (what, over) in enumerate(CHARTS))
        raise ParameterError(f"There is no chart {chart}", hint=f"Charts: {known}.")
    what, over = CHARTS[chart]
    paths = [logs] if isinstance(logs, str) or not isinstance(logs, Sequence) else list(logs)
    names = _names([Path(path) for path in paths])
    curves: list[tuple[str, Sequence[Point]]] = []
    for path, name in zip(paths, names, strict=True):
        found = _curves(read_log(path), what)
        if not found:
            raise DataError(f"{path} has no {what.lower()}", hint=_HINTS.get(what, ""))
        curves += [(f"{name}: {output}" if len(found) > 1 else name, points) for output, points in found.items()]
    figure = new_figure(7.5, 4.8)
    axes = figure.add_subplot()
    for label, points in curves:
        marker = "o" if what.startswith("Test") or len(points) == 1 else ""
        xs = [p.iteration if over == "Iters" else p.seconds for p in points]
        axes.plot(xs, [p.value for p in points], label=label, marker=marker, markersize=3.5, linewidth=1.2)
    axes.set_title(f"{what} vs. {over}")
    axes.set_xlabel(over)
    axes.set_ylabel(what)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        # Names as they are: matplotlib would leave out _a, and read $a$ as a formula.
        legend = axes.legend(axes.lines, [str(i) for i in range(len(curves))])
        for text, (label, _) in zip(legend.get_texts(), curves, strict=True):
            text.set(text=label, parse_math=False)
    return figure


_HINTS = {
    "Test accuracy": "Its test nets have no output without a loss weight, or were not run yet.",
    "Test loss": "Its test nets have no output with a loss weight, or were not run yet.",
    "Train loss": "Does the solver say display: 0?",
    "Train learning rate": "Does the solver say display: 0?",
}


def _curves(log: TrainingLog, what: str) -> dict[str, Sequence[Point]]:
    """Output -> its points; those of the log's one curve go under ''."""
    if what == "Train loss":
        return {"": log.loss} if log.loss else {}
    if what == "Train learning rate":
        return {"": log.learning_rate} if log.learning_rate else {}
    test = log.test
    return {
        column: [Point(int(row["NumIters"]), row["Seconds"], row[column]) for row in test.rows if column in row]
        for column in test.columns[3:]
        if (column in test.losses) == (what == "Test loss")
    }


def _names(paths: list[Path]) -> list[str]:
    """The files' names without .log, or whole paths where two are alike."""
    short = [path.name.removesuffix(".log") for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]
