"""Learning rate policies: the rate of an iteration, from base_lr and a few numbers.

A policy is a function of (settings, iteration, progress) that returns the rate and the progress made, which snapshots
keep. Of the policies here only multistep and plateau look at it. Whatever the policy, with `warmup_iter: n` the rate
goes up evenly from warmup_start_lr to base_lr in the first n iterations, and the policy is not asked; then it counts
iterations from the beginning, as the forks of Caffe that have a warm-up do.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pycaffe_lite.constraints import Constraint, at_least
from pycaffe_lite.registry import Registry

if TYPE_CHECKING:
    from pycaffe_lite.solvers.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """What a policy may look at besides the iteration."""

    current_step: int = 0
    """Of a policy that goes in steps: how many it has taken."""
    loss: float = math.inf
    """The last iteration's, smoothed over average_loss of them."""
    lowest_loss: float = math.inf
    """Of all iterations that a policy was asked about (plateau)."""
    last_event: int = 0
    """The iteration of the last new lowest loss or step (plateau)."""


Rate = Callable[["Settings", int, Progress], "tuple[float, Progress]"]


@dataclass(frozen=True)
class LrPolicy:
    """A policy's function, and what it asks of the solver's fields."""

    rate: Rate
    constraints: Mapping[str, Constraint]


lr_policies: Registry[LrPolicy] = Registry("lr policy", field="lr_policy")


def register_lr_policy(name: str, **constraints: Constraint) -> Callable[[Rate], Rate]:
    """Function decorator: this computes the rates of `lr_policy: name`; keywords are constraints on solver fields."""

    def decorate(rate: Rate) -> Rate:
        lr_policies.add(name, LrPolicy(rate, constraints))
        return rate

    return decorate


class Schedule:
    """The learning rates of a solver, one iteration after the other: warm-up, then what the policy says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policy = lr_policies[settings.lr_policy].rate
        self.progress = Progress()

    def rate(self, iteration: int) -> float:
        """What the rate would be if the last loss were no news. Looking changes nothing."""
        return self._ask(iteration, self.progress)[0]

    def next(self, iteration: int, loss: float) -> float:
        """The rate of an iteration whose smoothed loss is this; logs a step."""
        before = self.progress
        news = Progress(before.current_step, loss, before.lowest_loss, before.last_event)
        rate, self.progress = self._ask(iteration, news)
        if self.progress.current_step != before.current_step:
            name = {"multistep": "MultiStep", "plateau": "Plateau"}.get(self._settings.lr_policy)
            if name:
                log.info("%s Status: Iteration %d, step = %d", name, iteration, self.progress.current_step)
        return rate

    def _ask(self, iteration: int, progress: Progress) -> tuple[float, Progress]:
        p = self._settings
        if iteration < p.warmup_iter:
            return p.warmup_start_lr + (p.base_lr - p.warmup_start_lr) * iteration / p.warmup_iter, progress
        return self._policy(p, iteration, progress)


@register_lr_policy("fixed")
def fixed(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """base_lr"""
    return p.base_lr, progress


@register_lr_policy("step", stepsize=at_least(1), gamma=at_least(0))
def step(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """base_lr · gamma^⌊iter / stepsize⌋"""
    step = iteration // p.stepsize
    return p.base_lr * _power(p.gamma, step), replace(progress, current_step=step)


@register_lr_policy("exp", gamma=at_least(0))
def exp(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """base_lr · gamma^iter"""
    return p.base_lr * _power(p.gamma, iteration), progress


@register_lr_policy("inv", gamma=at_least(0))
def inv(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """base_lr · (1 + gamma · iter)^−power"""
    return p.base_lr * _power(1 + p.gamma * iteration, -p.power), progress


@register_lr_policy("multistep", gamma=at_least(0))
def multistep(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """base_lr · gamma^step, where step goes up by one at each stepvalue; never by two in one iteration, as in Caffe"""
    step = progress.current_step
    if step < len(p.stepvalue) and iteration >= p.stepvalue[step]:
        step += 1
    return p.base_lr * _power(p.gamma, step), replace(progress, current_step=step)


@register_lr_policy("plateau", gamma=at_least(0), plateau_winsize=replace(at_least(1), required=True))
def plateau(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """base_lr · gamma^step, where step goes up by one, to the number of plateau_winsize's at most, when the smoothed
    loss has not been lower than ever before for plateau_winsize[step] iterations; after each step these count anew.

    Liu, W. et al.: SSD: single shot multibox detector, ECCV 2016, whose fork of Caffe brought it.
    """
    if progress.loss < progress.lowest_loss:
        progress = replace(progress, lowest_loss=progress.loss, last_event=iteration)
    step = progress.current_step
    if step < len(p.plateau_winsize) and iteration - progress.last_event >= p.plateau_winsize[step]:
        step += 1
        progress = replace(progress, current_step=step, last_event=iteration)
    return p.base_lr * _power(p.gamma, step), progress


@register_lr_policy("cosine", max_iter=at_least(1))
def cosine(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """min_lr + (base_lr − min_lr) · (1 + cos(π · iter / max_iter)) / 2; min_lr from max_iter on

    Loshchilov, I., Hutter, F.: SGDR: stochastic gradient descent with warm restarts. ICLR 2017, without the restarts.
    """
    part = (1 + math.cos(math.pi * min(iteration / p.max_iter, 1))) / 2
    return p.min_lr + (p.base_lr - p.min_lr) * part, progress


@register_lr_policy("poly", max_iter=at_least(1), power=at_least(0))
def poly(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """base_lr · (1 − iter / max_iter)^power; from max_iter on 0^power, where Caffe's rate is NaN or grows again"""
    left = 1 - iteration / p.max_iter if iteration < p.max_iter else 0.0
    return p.base_lr * _power(left, p.power), progress


@register_lr_policy("sigmoid", stepsize=at_least(1), gamma=at_least(0))
def sigmoid(p: Settings, iteration: int, progress: Progress) -> tuple[float, Progress]:
    """base_lr / (1 + e^(−gamma · (iter − stepsize)))"""
    x = p.gamma * (iteration - p.stepsize)
    e = math.exp(-abs(x))  # of a number that is not positive: never too large
    return p.base_lr * (1 if x >= 0 else e) / (1 + e), progress


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
