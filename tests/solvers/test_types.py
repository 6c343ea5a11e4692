"""Each type of solver against its formula, written out in float64."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.solvers import update
from tests.conftest import choose_engine
from tests.solvers import toy

LR_MULT = (1, 2, 3, 1)
DECAY_MULT = (0.5, 0, 1, 1)


def formula(kind: str, g: np.ndarray, memory: list, rate: float, t: int) -> np.ndarray:
    """What the papers subtract from the weights; `memory` is this weight's, changed in place."""
    if kind == "SGD":
        memory[0] = 0.9 * memory[0] + rate * g
        return memory[0]
    if kind == "Nesterov":
        before = memory[0]
        memory[0] = 0.8 * before + rate * g
        return 1.8 * memory[0] - 0.8 * before
    if kind == "AdaGrad":
        memory[0] = memory[0] + g**2
        return rate * g / (np.sqrt(memory[0]) + 1e-6)
    if kind == "RMSProp":
        memory[0] = 0.95 * memory[0] + 0.05 * g**2
        return rate * g / (np.sqrt(memory[0]) + 1e-8)
    if kind == "AdaDelta":
        memory[0] = 0.9 * memory[0] + 0.1 * g**2
        step = g * np.sqrt((memory[1] + 1e-5) / (memory[0] + 1e-5))
        memory[1] = 0.9 * memory[1] + 0.1 * step**2
        return rate * step
    memory[0] = 0.85 * memory[0] + 0.15 * g
    memory[1] = 0.97 * memory[1] + 0.03 * g**2
    return rate * math.sqrt(1 - 0.97**t) / (1 - 0.85**t) * memory[0] / (np.sqrt(memory[1]) + 1e-8)


@pytest.mark.parametrize(("kind", "engine"), [*((kind, "numpy") for kind in toy.TYPES), ("SGD", "onednn")])
@pytest.mark.parametrize("regularization", ["L1", "L2"])
@pytest.mark.parametrize("block", [4, 32768])
def test_formula(
    kind: str, engine: str, regularization: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_engine(engine, monkeypatch)
    monkeypatch.setattr(update, "BLOCK", block)
    solver = toy.make(
        tmp_path,
        f'{toy.TYPES[kind]} weight_decay: 0.1 regularization_type: "{regularization}" '
        "iter_size: 2 clip_gradients: 0.4",
    )
    gradients: list[np.ndarray] = []
    solver.add_callback(None, lambda: gradients.extend(toy.diffs(solver)))
    memory: list[list] = [[0.0, 0.0] for _ in LR_MULT]
    clipped = 0
    for t in range(1, 6):
        before = toy.weights(solver)
        gradients.clear()
        solver.step(1)
        norm = math.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))
        clipped += norm > 0.4
        for i, (w, g) in enumerate(zip(before, gradients, strict=True)):
            g = g.astype(np.float64) * min(1, 0.4 / norm) / 2
            g += 0.1 * DECAY_MULT[i] * (w if regularization == "L2" else np.sign(w))
            wanted = formula(kind, g, memory[i], 0.05 * LR_MULT[i], t)
            np.testing.assert_allclose(toy.diffs(solver)[i], wanted, rtol=2e-5, atol=1e-7)
            np.testing.assert_allclose(toy.weights(solver)[i], w - wanted, rtol=1e-5, atol=1e-6)
    assert clipped


def test_clipping_leaves_small_gradients_alone_and_says_what_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    solver = toy.make(tmp_path, "clip_gradients: 0.25")
    solver.net.learnable.diff.array()[:] = 0
    solver.net.params["ip2"][1].diff[...] = [0.12, -0.16, 0]  # norm 0.2
    solver.apply_update()
    np.testing.assert_allclose(solver.net.params["ip2"][1].diff, [0.006, -0.008, 0], rtol=1e-6)
    solver.net.params["ip2"][1].diff[...] = [1.2, -1.6, 0]  # norm 2
    solver.apply_update()
    np.testing.assert_allclose(solver.net.params["ip2"][1].diff, [0.0075, -0.01, 0], rtol=1e-6)
    assert [r.getMessage() for r in caplog.records if r.getMessage().startswith("Gradient")] == [
        "Gradient clipping: scaling down gradients (L2 norm 2 > 0.25) by scale factor 0.125"
    ]


def test_weights_that_run_off_do_so_without_warnings(tmp_path: Path) -> None:
    solver = toy.make(tmp_path, 'type: "Adam"')
    for blob in solver.net.learnable.blobs:
        blob.diff[...] = 1e30
    solver.apply_update()
    for blob in solver.net.learnable.blobs:
        blob.diff[...] = np.inf
    solver.apply_update()
    assert np.isnan(solver.net.params["ip1"][0].data).all()


def test_a_net_without_parameters_steps_too(tmp_path: Path) -> None:
    net = """layer { name: "data" type: "DummyData" top: "a" top: "b" dummy_data_param { shape { dim: 2 dim: 3 } } }
             layer { name: "loss" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "loss" }"""
    solver = toy.make(tmp_path, "clip_gradients: 1", net=net)
    solver.step(3)
    assert solver.iter == 3


def test_momentum_may_change(tmp_path: Path, onednn: None) -> None:
    solver = toy.make(tmp_path, "momentum: 0.5 weight_decay: 0")
    solver.step(1)
    for momentum in (0.5, 0.25):
        solver.param.momentum = momentum
        before = toy.diffs(solver)
        solver.net.clear_param_diffs()
        solver.apply_update()
        for now, last in zip(toy.diffs(solver), before, strict=True):
            np.testing.assert_allclose(now, momentum * last, rtol=1e-6)
