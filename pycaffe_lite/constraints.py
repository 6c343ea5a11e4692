"""What a field's value must satisfy, as data: the check, the message and a bad example come from one place.

A layer lists them beside its class::

    constraints = {"inner_product_param.num_output": at_least(1)}
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import Message

from pycaffe_lite.errors import ParameterError


@dataclass(frozen=True)
class Constraint:
    """A test, its wording ("must be at least 1") and a value that fails it. Applies to each value of a repeated field.

    A field that is not set is tested by its default, unless `if_set`; a repeated one only if it is `required`.
    """

    test: Callable[[Any], bool]
    wording: str
    bad: Any
    if_set: bool = False
    required: bool = False


def at_least(bound: float) -> Constraint:
    return Constraint(lambda v: bool(v >= bound), f"must be at least {bound}", bound - 1)


def above(bound: float) -> Constraint:
    return Constraint(lambda v: bool(v > bound), f"must be greater than {bound}", bound)


def between(low: float, high: float) -> Constraint:
    """At least low, less than high."""
    return Constraint(lambda v: bool(low <= v < high), f"must be at least {low} and less than {high}", high)


def odd() -> Constraint:
    return Constraint(lambda v: bool(v % 2 == 1), "must be odd", 2)


def non_empty() -> Constraint:
    return Constraint(bool, "must be given", "")


def check(message: Message, constraints: Mapping[str, Constraint]) -> None:
    """Raise ParameterError, naming the field, for the first constraint that `message` fails."""
    for path, constraint in constraints.items():
        *parents, name = path.split(".")
        owner: Any = message
        for parent in parents:
            owner = getattr(owner, parent)
        field = owner.DESCRIPTOR.fields_by_name[name]
        repeated = isinstance(field.default_value, list)
        if constraint.if_set and not repeated and not owner.HasField(name):
            continue
        value = getattr(owner, name)
        if repeated and constraint.required and not value:
            raise ParameterError(f"{name} is missing, it {constraint.wording}", field=path)
        for item in value if repeated else [value]:
            if not constraint.test(item):
                shown = str(np.float32(item)) if isinstance(item, float) else repr(item)  # 0.9, not 0.8999999761581421
                raise ParameterError(f"{name} is {shown}, it {constraint.wording}", field=path)


def whole_number(value: object, what: str, least: int, most: int | None = None) -> int:
    """An argument of a function that must be a whole number. Raises ParameterError, which begins with `what`."""
    try:
        number = int(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        raise ParameterError(f"{what} is {value!r}", hint="It must be a whole number.") from None
    if number < least or (most is not None and number > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ParameterError(f"{what} is {number}", hint=f"It must be {bounds}.")
    return number
