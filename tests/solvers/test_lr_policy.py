from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest

from pycaffe_lite.registry import Registry
from pycaffe_lite.solvers import Progress, lr_policy, register_lr_policy
from pycaffe_lite.solvers.display import SmoothedLoss
from pycaffe_lite.solvers.settings import Settings
from tests.solvers import toy

WITHOUT_POLICY = 'net: "net.prototxt" base_lr: 0.5 max_iter: 20\n'


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ('"fixed"', {0: 0.5, 7: 0.5, 1000: 0.5}),
        ('"step" gamma: 0.5 stepsize: 3', {0: 0.5, 2: 0.5, 3: 0.25, 8: 0.125, 9: 0.0625}),
        ('"exp" gamma: 0.5', {0: 0.5, 1: 0.25, 5: 0.5 / 32}),
        ('"inv" gamma: 0.25 power: 1.5', {0: 0.5, 4: 0.5 / 2**1.5, 12: 0.0625}),
        ('"poly" power: 2', {0: 0.5, 5: 0.5 * 0.5625, 19: 0.5 * 0.0025, 20: 0, 21: 0, 30: 0}),
        ('"poly" power: 0.5', {15: 0.25, 21: 0}),
        ('"poly"', {3: 0.5, 20: 0.5}),
        ('"sigmoid" gamma: 0.5 stepsize: 4', {0: 0.5 / (1 + math.e**2), 4: 0.25, 10: 0.5 / (1 + math.e**-3)}),
        ('"sigmoid" gamma: 100 stepsize: 400', {0: 0, 400: 0.25, 800: 0.5}),
        ('"exp" gamma: 3', {0: 0.5, 2: 4.5, 100000: math.inf}),
        ('"cosine"', {0: 0.5, 5: 0.25 + 0.25 * 2**-0.5, 10: 0.25, 20: 0, 21: 0, 30: 0}),
        ('"cosine" min_lr: 0.125', {0: 0.5, 10: 0.3125, 15: 0.3125 - 0.1875 * 2**-0.5, 20: 0.125, 30: 0.125}),
        ('"fixed" warmup_iter: 4', {0: 0, 1: 0.125, 3: 0.375, 4: 0.5, 9: 0.5}),
        ('"step" gamma: 0.5 stepsize: 3 warmup_iter: 5 warmup_start_lr: 0.25', {0: 0.25, 1: 0.3, 4: 0.45, 5: 0.25}),
        ('"cosine" warmup_iter: 10 warmup_start_lr: 1', {0: 1, 5: 0.75, 10: 0.25, 20: 0}),
    ],
)
def test_rates(text: str, rates: dict[int, float], tmp_path: Path) -> None:
    solver = toy.make(tmp_path, f"lr_policy: {text}", basis=WITHOUT_POLICY)
    for iteration, rate in rates.items():
        solver.iter = iteration
        assert solver.lr == pytest.approx(rate, rel=1e-6, abs=1e-12)


def test_multistep(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    solver = toy.make(
        tmp_path, 'lr_policy: "multistep" gamma: 0.1 stepvalue: 2 stepvalue: 3 stepvalue: 5', basis=WITHOUT_POLICY
    )
    rates = []
    for _ in range(7):
        rates.append(solver.lr)
        assert solver.lr == rates[-1]  # looking changes nothing
        solver.step(1)
    assert rates == pytest.approx([0.5, 0.5, 0.05, 0.005, 0.005, 0.0005, 0.0005])
    assert [r.getMessage() for r in caplog.records if "MultiStep" in r.getMessage()] == [
        f"MultiStep Status: Iteration {i}, step = {k}" for i, k in ((2, 1), (3, 2), (5, 3))
    ]


def test_multistep_takes_one_step_in_each_iteration(tmp_path: Path) -> None:
    solver = toy.make(tmp_path, 'lr_policy: "multistep" gamma: 0.1 stepvalue: 1 stepvalue: 1', basis=WITHOUT_POLICY)
    rates = []
    for _ in range(4):
        rates.append(solver.lr)
        solver.step(1)
    assert rates == pytest.approx([0.5, 0.05, 0.005, 0.005])


def test_plateau(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rates worked out by hand for losses that are given."""
    caplog.set_level(logging.INFO, "pycaffe_lite")
    text = 'lr_policy: "plateau" gamma: 0.1 plateau_winsize: 3 plateau_winsize: 2 warmup_iter: 1 warmup_start_lr: 0.25'
    solver = toy.make(tmp_path, text, basis=WITHOUT_POLICY)
    #           0  1  2  3  4  5    6  7  8    9  10  11
    losses = [0.1, 5, 4, 6, 4, 4.5, 3, 7, 3.5, 2, 9, 9.0]  # the first is not looked at: the rate is warming up
    wanted = [0.25, *[0.5] * 4, *[0.05] * 3, *[0.005] * 4]  # lowest at 2 and 6, steps at 5 and 8, and no third
    rates = []
    for loss in losses:
        solver._loss = SmoothedLoss(1, [loss])
        rates.append(solver._update())
    assert rates == pytest.approx(wanted)
    assert [m for m in caplog.messages if "Status" in m] == [
        f"Plateau Status: Iteration {i}, step = {k}" for i, k in ((5, 1), (8, 2))
    ]


def test_plateau_looks_at_the_smoothed_loss(tmp_path: Path) -> None:
    text = 'lr_policy: "plateau" gamma: 0.5 plateau_winsize: 1 average_loss: 2'
    solver = toy.make(tmp_path, text, basis=WITHOUT_POLICY)
    smoothed: list[float] = []
    rates: list[float] = []
    solver.watch(lambda e: (smoothed.append(e.loss), rates.append(e.lr)))
    solver.step(12)
    stuck = [i for i in range(1, 12) if smoothed[i] >= min(smoothed[:i])]
    assert stuck
    assert rates == [0.5] * stuck[0] + [0.25] * (12 - stuck[0])


def test_the_rate_is_read_anew_in_each_iteration(tmp_path: Path) -> None:
    solver = toy.make(tmp_path, 'lr_policy: "exp" gamma: 0.5', basis=WITHOUT_POLICY)
    solver.step(1)
    solver.param.base_lr = 8.0
    assert solver.lr == 4
    solver.param.base_lr = 0.0
    before = toy.weights(solver)
    solver.step(1)
    assert all((a == b).all() for a, b in zip(before, toy.weights(solver), strict=True))


def test_users_may_register_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policies: Registry[lr_policy.LrPolicy] = Registry("lr policy")
    policies._entries.update(lr_policy.lr_policies._entries)
    monkeypatch.setattr(lr_policy.lr_policies, "_entries", policies._entries)

    @register_lr_policy("rising")
    def rising(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
        return p.base_lr * min(1, (iteration + 1) / p.stepsize), progress

    solver = toy.make(tmp_path, 'lr_policy: "rising" stepsize: 4', basis=WITHOUT_POLICY)
    assert solver.lr == 0.125
