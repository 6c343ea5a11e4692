"""What a layer has done in a pass: enough to have it done again without asking the layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Call = Callable[[], object]


class Done(Protocol):
    """Of a layer's last pass."""

    def again(self) -> Call | None:
        """What does it once more with the same memory, which it keeps; None where only the layer can."""


class Several(tuple[Done, ...]):
    """One after another, all of them different."""

    def again(self) -> Call | None:
        calls = [call for done in self if (call := done.again()) is not None]
        return one_after_another(calls) if len(calls) == len(self) else None


def one_after_another(calls: Sequence[Call]) -> Call:
    """All of these as one."""

    def run() -> None:
        for call in calls:
            call()

    return run


class _ByLayer:
    def again(self) -> Call | None:
        return None


NOTHING = Several()
BY_LAYER = _ByLayer()
"""What only the layer can do again."""
