"""Whether contenders compute the same: a race between different computations would say nothing."""

from __future__ import annotations

import numpy as np
from measure import median

from contenders.task import TRAIN, Array, Task, file_name, sample
from contenders.workers import Worker, start

OUTPUT = 1e-4
"""How far outputs may differ, in parts of the largest."""
LOSS, STEP = 1e-4, 0.01
"""How far the loss of a second step, and what a blob has then learnt, may differ, in parts of it: median of blobs."""
LOSS_NORMALISED, STEP_NORMALISED = 1e-3, 0.2
"""The same where there are batch statistics, which amplify rounding: in a random MobileNet what PyTorch learns with one
memory format differs by 0.1 from what it learns with the other, and its loss by 1e-4."""


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
    """Two steps of each contender from the same weights, without dropout; how far what they learnt differs, in parts of
    it. Raises Disagreement.
    """
    task = Task(folder, TRAIN, batch, threads, lr=0.001, dropout=False)
    normalised = any(layer["type"] == "BatchNorm" for layer in task.layers())
    loss_limit, step_limit = (LOSS_NORMALISED, STEP_NORMALISED) if normalised else (LOSS, STEP)
    results = {}
    for worker in start(task, names):
        worker.turn(2)
        results[f"{worker.name} {worker.variant}"] = worker.results()
        worker.close()
    (reference, expected), *others = results.items()
    worst = 0.0
    for name, result in others:
        loss = abs(float(result["loss"] / expected["loss"]) - 1)
        if not loss <= loss_limit:
            raise Disagreement(f"The loss of {name} differs from that of {reference} by {loss:.1e} of it")
        if result.keys() != expected.keys():
            raise Disagreement(f"{name} and {reference} learn different weights")
        difference = median([_difference(folder, blob, result, expected) for blob in expected.keys() - {"loss"}])
        worst = max(worst, difference)
        if not difference <= step_limit:
            raise Disagreement(f"What {name} learns differs from what {reference} does by {difference:.1e} of it")
    return worst


def _difference(folder: str, blob: str, result: dict[str, Array], expected: dict[str, Array]) -> float:
    layer, _, index = blob.rpartition(".")
    before = sample(np.load(f"{folder}/{file_name(layer)}.weights.{index}.npy"))
    return float(np.linalg.norm(result[blob] - expected[blob]) / np.linalg.norm(expected[blob] - before))
