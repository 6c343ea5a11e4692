"""Where the fields of an upgraded message stood in the file, which the file calls by other names."""

from __future__ import annotations

from collections.abc import Mapping

from pycaffe_lite.errors import Position
from pycaffe_lite.schema import Positions


class Moved(Positions):
    """Positions for a message whose fields were moved: `moved` leads from paths of today to those of the file.

    A path that is not in `moved` goes where the nearest message around it went, or stays.
    """

    def __init__(self, outer: Positions, moved: Mapping[str, str]) -> None:
        super().__init__(outer.file)
        self._outer, self._moved = outer, moved

    def find(self, path: str) -> Position | None:
        return self._outer.find(self._old(path))

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._old(path) in self._outer

    def __len__(self) -> int:
        return len(self._outer)

    def _old(self, path: str) -> str:
        head = path
        while head and head not in self._moved:
            head = head[: max(head.rfind("."), head.rfind("["), 0)]
        return self._moved[head] + path[len(head) :] if head else path


def moved(positions: Positions | None, paths: Mapping[str, str]) -> Positions | None:
    """The positions after such a move; none where none are known."""
    return Moved(positions, paths) if positions is not None else None
