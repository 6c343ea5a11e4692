"""A solver's parameters as plain Python values, for loops that should not ask a message for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pycaffe_lite.constraints import Constraint, at_least, check
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.solvers.lr_policy import lr_policies

CONSTRAINTS: Mapping[str, Constraint] = {
    "average_loss": at_least(1),
    "iter_size": at_least(1),
    "test_iter": at_least(1),
    "min_lr": at_least(0),
    "warmup_iter": at_least(0),
    "warmup_start_lr": at_least(0),
}


@dataclass
class Settings:
    """The fields of SolverParameter that training looks at, by their names (pycaffe's `solver.param`).

    Changes count from the next iteration on, but for `lr_policy`, which stays. `max_iter`, `display`, `base_lr` and
    `layer_wise_reduce` are pycaffe's; the last only matters to training on several GPUs.
    """

    base_lr: float
    lr_policy: str
    gamma: float
    power: float
    stepsize: int
    stepvalue: list[int]
    plateau_winsize: list[int]
    min_lr: float
    warmup_iter: int
    warmup_start_lr: float
    max_iter: int
    momentum: float
    momentum2: float
    delta: float
    rms_decay: float
    weight_decay: float
    regularization_type: str
    clip_gradients: float
    iter_size: int
    average_loss: int
    display: int
    test_iter: list[int]
    test_interval: int
    test_initialization: bool
    test_compute_loss: bool
    snapshot: int
    snapshot_prefix: str
    snapshot_format: int
    snapshot_diff: bool
    snapshot_after_train: bool
    random_seed: int
    layer_wise_reduce: bool
    debug_info: bool

    @classmethod
    def of(cls, message: pb.SolverParameter, constraints: Mapping[str, Constraint]) -> Settings:
        """The message's values, with the schema's defaults, checked: `constraints` are those of the solver's type.

        Raises ParameterError, and UnknownTypeError for a learning rate policy that nobody registered.
        """
        _check(message, constraints)
        values: dict[str, Any] = {f.name: getattr(message, f.name) for f in fields(cls)}
        repeated = (name for name in values if message.DESCRIPTOR.fields_by_name[name].default_value == [])
        return cls(**{**values, **{name: list(values[name]) for name in repeated}})


def _check(message: pb.SolverParameter, constraints: Mapping[str, Constraint]) -> None:
    if not message.HasField("lr_policy"):
        raise ParameterError("lr_policy is missing", field="lr_policy", hint=f"Choose one of {', '.join(lr_policies)}.")
    if not message.HasField("base_lr"):
        raise ParameterError("base_lr is missing", field="base_lr", hint="Give a learning rate, such as 0.01.")
    policy = lr_policies[message.lr_policy]
    check(message, {**CONSTRAINTS, **constraints, **policy.constraints})
    if message.regularization_type not in ("L1", "L2"):
        raise ParameterError(
            f"Unknown regularization_type '{message.regularization_type}'",
            field="regularization_type",
            hint="Known are L1, L2.",
        )


def no_momentum(solver: str) -> Constraint:
    """Momentum must be left out."""
    return Constraint(lambda v: bool(v == 0), f"must be 0: {solver} has none", 0.9)


def decay_factor() -> Constraint:
    """0 <= value <= 1."""
    return Constraint(lambda v: bool(0 <= v <= 1), "must be at least 0 and at most 1", 1.5)
