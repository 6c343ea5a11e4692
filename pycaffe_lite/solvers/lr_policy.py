"""Learning rate policies: the rate of an iteration, from base_lr and a few numbers.

A policy is a function of (settings, iteration, current_step) that returns the rate and the current step, which solver
states keep. Of the policies here only multistep needs to be told the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pycaffe_lite.constraints import Constraint, at_least
from pycaffe_lite.registry import Registry

if TYPE_CHECKING:
    from pycaffe_lite.solvers.settings import Settings

Rate = Callable[["Settings", int, int], "tuple[float, int]"]


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


@register_lr_policy("fixed")
def fixed(p: Settings, iteration: int, current_step: int) -> tuple[float, int]:
    """base_lr"""
    return p.base_lr, current_step


@register_lr_policy("step", stepsize=at_least(1), gamma=at_least(0))
def step(p: Settings, iteration: int, current_step: int) -> tuple[float, int]:
    """base_lr · gamma^⌊iter / stepsize⌋"""
    current_step = iteration // p.stepsize
    return p.base_lr * _power(p.gamma, current_step), current_step


@register_lr_policy("exp", gamma=at_least(0))
def exp(p: Settings, iteration: int, current_step: int) -> tuple[float, int]:
    """base_lr · gamma^iter"""
    return p.base_lr * _power(p.gamma, iteration), current_step


@register_lr_policy("inv", gamma=at_least(0))
def inv(p: Settings, iteration: int, current_step: int) -> tuple[float, int]:
    """base_lr · (1 + gamma · iter)^−power"""
    return p.base_lr * _power(1 + p.gamma * iteration, -p.power), current_step


@register_lr_policy("multistep", gamma=at_least(0))
def multistep(p: Settings, iteration: int, current_step: int) -> tuple[float, int]:
    """base_lr · gamma^step, where step goes up by one at each stepvalue; never by two in one iteration, as in Caffe"""
    if current_step < len(p.stepvalue) and iteration >= p.stepvalue[current_step]:
        current_step += 1
    return p.base_lr * _power(p.gamma, current_step), current_step


@register_lr_policy("poly", max_iter=at_least(1), power=at_least(0))
def poly(p: Settings, iteration: int, current_step: int) -> tuple[float, int]:
    """base_lr · (1 − iter / max_iter)^power; from max_iter on 0^power, where Caffe's rate is NaN or grows again"""
    left = 1 - iteration / p.max_iter if iteration < p.max_iter else 0.0
    return p.base_lr * _power(left, p.power), current_step


@register_lr_policy("sigmoid", stepsize=at_least(1), gamma=at_least(0))
def sigmoid(p: Settings, iteration: int, current_step: int) -> tuple[float, int]:
    """base_lr / (1 + e^(−gamma · (iter − stepsize)))"""
    x = p.gamma * (iteration - p.stepsize)
    e = math.exp(-abs(x))  # of a number that is not positive: never too large
    return p.base_lr * (1 if x >= 0 else e) / (1 + e), current_step


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
