"""Whether contenders compute the same: a race between different computations would say nothing."""

from __future__ import annotations

import numpy as np
from measure import median

from contenders.task import TRAIN, Results, Task, file_name, sample
from contenders.workers import Worker, start

OUTPUT = 1e-3
"""How far outputs may differ, in parts of the largest. Winograd's transforms round more than other ways: OpenCV's
output of a random ResNet-50 differs by 1.1e-4.
"""
LOSS, LEARNT = 1e-4, 0.03
"""How far the loss of a step, and what a blob learns in it (median of blobs), may differ, in parts of it."""
LEARNT_NORMALISED = 0.1
"""The same where there are batch statistics, which amplify rounding: in a random MobileNet what PyTorch learns with one
memory format differs by 0.03 from what it learns with the other."""
CALM = 0.2
"""A second step, which shows momentum, is compared where the first has changed the loss by less than this part of it:
after larger ones, or through batch statistics, nets go ways of their own."""


class Disagreement(Exception):
    """Two contenders have computed different things."""


def check_outputs(workers: list[Worker]) -> None:
    """Raises Disagreement unless their last outputs are the same."""
    results = [(f"{worker.name} {worker.variant}".strip(), worker.results()["output"].ravel()) for worker in workers]
    (reference, expected), *others = results
    for name, output in others:
        difference = float(np.abs(output - expected).max() / np.abs(expected).max())
        if not difference <= OUTPUT:
            raise Disagreement(f"The output of {name} differs from that of {reference} by {difference:.1e} of it")


def check_training(folder: str, batch: int, threads: int, names: list[str]) -> float:
    """Two steps of each contender from the same weights, without dropout; how far what they learn in the first differs,
    in parts of it. Raises Disagreement.
    """
    task = Task(folder, TRAIN, batch, threads, lr=0.001, dropout=False)
    steps: list[dict[str, Results]] = [{}, {}]
    for worker in start(task, names):
        for step in steps:
            worker.turn(1)
            step[f"{worker.name} {worker.variant}"] = worker.results()
        worker.close()
    normalised = any(layer["type"] == "BatchNorm" for layer in task.layers())
    limit = LEARNT_NORMALISED if normalised else LEARNT
    worst = _compare(folder, steps[0], LOSS, limit)
    before, after = (float(next(iter(step.values()))["loss"]) for step in steps)
    if abs(after / before - 1) < CALM and not normalised:
        _compare(folder, steps[1], LOSS, limit)
    return worst


def _compare(folder: str, step: dict[str, Results], loss_limit: float, learnt_limit: float) -> float:
    (reference, expected), *others = step.items()
    worst = 0.0
    for name, result in others:
        loss = abs(float(result["loss"] / expected["loss"]) - 1)
        if not loss <= loss_limit:
            raise Disagreement(f"The loss of {name} differs from that of {reference} by {loss:.1e} of it")
        if result.keys() != expected.keys():
            raise Disagreement(f"{name} and {reference} learn different weights")
        difference = median([_difference(folder, blob, result, expected) for blob in expected.keys() - {"loss"}])
        worst = max(worst, difference)
        if not difference <= learnt_limit:
            raise Disagreement(f"What {name} learns differs from what {reference} does by {difference:.1e} of it")
    return worst


def _difference(folder: str, blob: str, result: Results, expected: Results) -> float:
    layer, _, index = blob.rpartition(".")
    before = sample(np.load(f"{folder}/{file_name(layer)}.weights.{index}.npy"))
    return float(np.linalg.norm(result[blob] - expected[blob]) / np.linalg.norm(expected[blob] - before))
