"""Where in a prototxt each field of a message was written."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from pycaffe_lite.errors import Position


class Positions:
    """A map from message paths to places in the file that the message was read from.

    A path is written as in Python: `layer[3].bottom[1]`, `layer[3].convolution_param.num_output`; repeated fields have
    an index, others none. An empty `file` knows no positions: so it is for binary files and messages built in memory.
    """

    def __init__(self, file: str = "", text: str = "", offsets: Mapping[str, int] | None = None) -> None:
        self.file = file
        self._offsets = dict(offsets or {})
        self._lines = [0]
        at = text.find("\n")
        while at >= 0:
            self._lines.append(at + 1)
            at = text.find("\n", at + 1)

    def find(self, path: str) -> Position | None:
        """The place of a field, or of the nearest message around it; the file's start if that is the whole message."""
        if not self.file:
            return None
        while path not in self._offsets and path:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.at(self._offsets.get(path, 0))

    def at(self, offset: int) -> Position:
        """The place of a character, counted from 0."""
        line = bisect_right(self._lines, offset)
        return Position(self.file, line, offset - self._lines[line - 1] + 1)

    def __contains__(self, path: object) -> bool:
        return path in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)
