"""Which classes a net takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import GraphError, ParameterError, ShapeError
from pycaffe_lite.plot._figure import new_figure
from pycaffe_lite.summary import split_copies

if TYPE_CHECKING:
    from pycaffe_lite.net import Net

_MOST_WRITTEN = 25
"""Classes up to which each number is written."""


def confusion(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, names: Sequence[str] | None = None, *, normalise: bool = False
) -> Any:
    """The confusion matrix: a row for each class, saying what its items were taken for; returns the Figure.

    `truth` has n labels. `predicted` has n labels, or scores (n, classes), of which the largest counts. `names` are the
    classes' in order. Colours are shares of the row, and with `normalise` the numbers too, in per cent.
    Raises ShapeError when the two do not fit, ParameterError for labels that are no classes or have no name.
    """
    scores = np.asarray(predicted)
    given = scores.argmax(axis=1) if scores.ndim == 2 else scores
    true, taken = _labels(truth, "truth"), _labels(given, "predicted")
    if true.size != taken.size:
        raise ShapeError(f"There are {true.size} true labels, and {taken.size} predicted", hint="One for each item.")
    classes = max(int(true.max()), int(taken.max())) + 1
    classes = max(classes, len(names or ()), scores.shape[1] if scores.ndim == 2 else 0)
    if names is not None and len(names) < classes:
        raise ParameterError(f"There are {len(names)} names, and labels up to {classes - 1}", hint="Name all classes.")
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (true, taken), 1)
    return _draw(counts, list(names or map(str, range(classes))), normalise)


def predictions(
    net: Net, batches: int = 1, *, scores: str | None = None, labels: str | None = None
) -> tuple[Array, Array]:
    """Run a net with labelled data, for `confusion(*predictions(net, 100))`; returns true and predicted labels.

    `scores` and `labels` name the blobs, by default those that the net's Accuracy layer compares, or its
    SoftmaxWithLoss; classes are on axis 1 of the scores. Raises GraphError where there is no such layer,
    UnknownNameError and ShapeError for blobs that the net lacks, or that do not fit.
    """
    if scores is None or labels is None:
        found = [n for kind in ("Accuracy", "SoftmaxWithLoss") for n in net._nodes if n.type == kind]
        if not found:
            raise GraphError(
                "The net has neither an Accuracy nor a SoftmaxWithLoss layer to tell scores from labels",
                hint="Name them: predictions(net, scores='prob', labels='label').",
            )
        original = split_copies(net)
        names = [original.get(name, name) for name in found[0].bottom_names]
        scores, labels = scores or names[0], labels or names[1]
    truth, taken = [], []
    for _ in range(batches):
        net.forward()
        given, true = net.blobs[scores].data, net.blobs[labels].data
        if given.ndim < 2 or given.size // given.shape[1] != true.size:
            raise ShapeError(
                f"Blob '{scores}' {given.shape} does not have classes on axis 1 for each of '{labels}' {true.shape}"
            )
        taken.append(given.argmax(axis=1).ravel())
        truth.append(true.ravel().astype(np.int64))
    return np.concatenate(truth or [np.zeros(0, np.int64)]), np.concatenate(taken or [np.zeros(0, np.int64)])


def _labels(values: npt.ArrayLike, what: str) -> Array:
    labels = np.asarray(values).ravel()
    if not labels.size:
        raise ShapeError(f"There are no {what} labels", hint="Give at least one.")
    wrong = labels[(labels < 0) | (labels != np.floor(labels))]
    if wrong.size:
        raise ParameterError(f"A {what} label is {wrong[0]}", hint="Labels are whole numbers from 0 on.")
    return labels.astype(np.int64)


def _draw(counts: Array, names: list[str], normalise: bool) -> Any:
    classes = len(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(12.0, max(3.6, 0.5 * classes + 1.6)) if classes <= _MOST_WRITTEN else 8.0
    figure = new_figure(side + 0.9, side)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03, label="share of the true class")
    axes.set_title(f"{np.trace(counts) / counts.sum():.2%} of {counts.sum()} right")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if classes > _MOST_WRITTEN:
        return figure
    long = max(map(len, names)) > 3
    axes.set_xticks(range(classes), names, rotation=90 if long else 0, parse_math=False)
    axes.set_yticks(range(classes), names, parse_math=False)
    for i, j in np.argwhere(counts):
        text = f"{100 * shares[i, j]:.3g}" if normalise else str(counts[i, j])
        axes.text(j, i, text, ha="center", va="center", size=8, color="white" if shares[i, j] > 0.5 else "black")
    return figure
