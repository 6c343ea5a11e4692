"""What a layer has done in a pass: enough to have it done again without asking the layer."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Protocol

from pycaffe_lite._typing import Array

Call = Callable[[], object]


class Otherwise(Exception):
    """What was done cannot be done again now; raised before anything is written."""


class Done(Protocol):
    """Of a layer's last pass."""

    @property
    def is_quiet(self) -> bool:
        """Whether to do it again is no arithmetic of numpy's, which would warn of infinities and NaN."""

    def again(self) -> Call | None:
        """What does it once more with the same memory, which it keeps; None where only the layer can. Calling that may
        raise Otherwise.
        """


class Several(tuple[Done, ...]):
    """One after another, all of them different."""

    @property
    def is_quiet(self) -> bool:
        return all(done.is_quiet for done in self)

    def again(self) -> Call | None:
        calls = [call for done in self if (call := done.again()) is not None]
        return one_after_another(calls) if len(calls) == len(self) else None


class Called:
    """A function, with arrays, which it does not keep."""

    is_quiet = False

    def __init__(self, function: Callable[..., object], *arrays: Array) -> None:
        self._function, self._arrays = function, [weakref.ref(array) for array in arrays]

    def again(self) -> Call | None:
        arrays = all_there(self._arrays)
        return None if arrays is None else functools.partial(self._function, *arrays)


class Kept(functools.partial[object]):
    """As Called, and keeps the arrays: for nets whose blobs have memory of their own."""

    is_quiet = False

    def again(self) -> Call:
        return self


def together(parts: Sequence[Done | None]) -> Done | None:
    """All of them one after another; None where one is not known."""
    single: list[Done] = []
    for part in parts:
        if part is None:
            return None
        if isinstance(part, Several):
            single += part
        else:
            single.append(part)
    if len(single) == 1:
        return single[0]
    return Several(single) if single else NOTHING


def all_there(seen: Sequence[Callable[[], Array | None]]) -> list[Array] | None:
    """The arrays of these weak references; None where one is gone."""
    arrays = [array for reference in seen if (array := reference()) is not None]
    return arrays if len(arrays) == len(seen) else None


def one_after_another(calls: Sequence[Call]) -> Call:
    """All of these as one."""
    if len(calls) == 1:
        return calls[0]

    def run() -> None:
        for call in calls:
            call()

    return run


class _ByLayer:
    is_quiet = False

    def again(self) -> Call | None:
        return None


NOTHING = Several()
BY_LAYER = _ByLayer()
"""What only the layer can do again."""
