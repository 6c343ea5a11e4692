"""Which layers of a network message take part in a state: phase, level and stages against include and exclude rules."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pycaffe_lite.errors import CaffeError, GraphError
from pycaffe_lite.proto import caffe_pb2 as pb

if TYPE_CHECKING:
    from pycaffe_lite.schema import Positions

log = logging.getLogger(__name__)
_E = TypeVar("_E", bound=CaffeError)


@dataclass(frozen=True)
class LayerSpec:
    """A layer's message on its way through the graph passes, and where it came from.

    `path` ("layer[3]") leads to it in `positions`; both are empty for layers that a pass made up.
    """

    message: pb.LayerParameter
    path: str = ""
    positions: Positions | None = None

    def blame(self, error: _E) -> _E:
        """The same error, saying which layer it happened in and where that stands in the file."""
        position = self.positions.find(f"{self.path}.{error.field}".rstrip(".")) if self.positions else None
        return error.at(layer=self.message.name, layer_type=self.message.type, position=position)

    @contextmanager
    def noted(self, method: str) -> Iterator[None]:
        """Errors that are not ours get a note of which layer they come from, where Python has notes (3.11)."""
        try:
            yield
        except Exception as e:
            if not isinstance(e, CaffeError) and hasattr(e, "add_note"):
                e.add_note(str(self.blame(CaffeError(f"Raised in {method}"))))
            raise


def specs_of(net: pb.NetParameter, positions: Positions | None = None) -> list[LayerSpec]:
    """All layers of a network message, in order."""
    return [LayerSpec(message, f"layer[{i}]", positions) for i, message in enumerate(net.layer)]


def select(specs: Iterable[LayerSpec], state: pb.NetState) -> list[LayerSpec]:
    """The layers that take part in this state.

    A layer without rules is in. With include rules it is in when any of them is met, with exclude rules when none is.
    Raises GraphError for a layer that has both kinds.
    """
    kept = []
    for spec in specs:
        message = spec.message
        _check_rules(spec)
        if message.include:
            reasons = [unmet(rule, state) for rule in message.include]
            included = any(not reason for reason in reasons)
        else:
            reasons = ["a rule to exclude it is met"]
            included = all(unmet(rule, state) for rule in message.exclude)
        if included:
            kept.append(spec)
        else:
            log.info("%s in layer %s", "; ".join(reasons), message.name)
    return kept


def in_phase(layer: pb.LayerParameter, phase: int | None) -> bool:
    """Whether the layer may take part in this phase, at some level and with some stages. None: in any phase.

    Raises GraphError for a layer that has rules of both kinds.
    """
    _check_rules(LayerSpec(layer))
    if phase is None:
        return True
    if layer.include:
        return any(not rule.HasField("phase") or rule.phase == phase for rule in layer.include)
    return not any(_only_phase(rule) and rule.phase == phase for rule in layer.exclude)


def _only_phase(rule: pb.NetStateRule) -> bool:
    return [field.name for field, _ in rule.ListFields()] == ["phase"]


def _check_rules(spec: LayerSpec) -> None:
    if spec.message.include and spec.message.exclude:
        raise spec.blame(
            GraphError("include and exclude rules are both given", hint="Use one kind only.", field="include[0]")
        )


def unmet(rule: pb.NetStateRule, state: pb.NetState) -> str:
    """Why the rule is not met; '' when it is."""
    if rule.HasField("phase") and rule.phase != state.phase:
        return f"The NetState phase ({state.phase}) differed from the phase ({rule.phase}) specified by a rule"
    if rule.HasField("min_level") and state.level < rule.min_level:
        return f"The NetState level ({state.level}) is below the min_level ({rule.min_level}) specified by a rule"
    if rule.HasField("max_level") and state.level > rule.max_level:
        return f"The NetState level ({state.level}) is above the max_level ({rule.max_level}) specified by a rule"
    for stage in rule.stage:
        if stage not in state.stage:
            return f"The NetState did not contain stage '{stage}' specified by a rule"
    for stage in rule.not_stage:
        if stage in state.stage:
            return f"The NetState contained a not_stage '{stage}' specified by a rule"
    return ""
