"""What a layer must refuse, saying where: numbers of blobs it does not take, values that its constraints exclude."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pycaffe_lite.constraints import Constraint
from pycaffe_lite.errors import CaffeError, GraphError, ParameterError
from pycaffe_lite.layer import Layer
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import find_layer
from pycaffe_lite.schema import parse_text, write_text
from pycaffe_lite.testing.cases import Bench, LayerCase, uniform


def check_constraints(case: LayerCase) -> None:
    """The bad value of each constraint is refused with a ParameterError that names field, layer and place."""
    for path, constraint in find_layer(case.type)[0].constraints.items():
        net = parse_text(case.prototxt(), pb.NetParameter)[0]
        _spoil(net.layer[-1], path, constraint)
        error = _refusal(write_text(net), case, ParameterError, f"{path}: {constraint.bad!r}")
        for part in (path.rpartition(".")[2], constraint.wording):
            if part not in str(error):
                raise AssertionError(f"{case}: the error for {path}: {constraint.bad!r} does not say '{part}': {error}")


def check_arity(case: LayerCase) -> None:
    """One bottom or top more, or less, than the layer takes is refused with a GraphError naming it and its place."""
    cls = find_layer(case.type)[0]
    if not issubclass(cls, Layer) or case.type == "Python":
        return  # a Python layer's author decides
    bottoms = list(case.bottoms)
    numbers = [(len(bottoms) + d, case.tops) for d in (-1, 1)] + [(len(bottoms), case.tops + d) for d in (-1, 1)]
    for n, tops in numbers:
        allowed = n in cls.bottoms and tops in cls.tops and not (cls.same_number and n != tops)
        if min(n, tops) < 0 or allowed or (cls.auto_tops and tops < case.tops):
            continue
        more = (bottoms or [uniform(2, 3)])[:1] * max(0, n - len(bottoms))
        _refusal(
            replace(case, bottoms=[*bottoms, *more][:n], tops=tops).prototxt(),
            case,
            GraphError,
            f"{n} bottoms and {tops} tops",
        )


def _spoil(message: Any, path: str, constraint: Constraint) -> None:
    """Set the field to the value that the constraint excludes."""
    *parents, name = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    if isinstance(message.DESCRIPTOR.fields_by_name[name].default_value, list):
        del getattr(message, name)[:]
        getattr(message, name).append(constraint.bad)
    else:
        setattr(message, name, constraint.bad)


def _refusal(text: str, case: LayerCase, kind: type[CaffeError], what: str) -> CaffeError:
    """The error that building this net ends with, checked to name layer, type and place."""
    message, positions = parse_text(text, pb.NetParameter, Bench.file)
    message.state.phase = case.phase  # type: ignore[assignment]
    try:
        Net.from_message(message, positions).close()
    except kind as error:
        for part in ("'target'", f"type {case.type}", f"{Bench.file}:"):
            if part not in str(error):
                raise AssertionError(f"{case}: the error for {what} does not say {part}: {error}") from error
        return error
    except Exception as error:
        raise AssertionError(f"{case}: {what} gives {type(error).__name__}, not {kind.__name__}: {error}") from error
    raise AssertionError(f"{case}: {what} is accepted")
