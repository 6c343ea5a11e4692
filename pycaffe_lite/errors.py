"""Everything that pycaffe_lite raises on purpose.

::

    CaffeError                      (a RuntimeError, as pycaffe's own were)
    ├── MissingFileError            a file that is not there (also a FileNotFoundError)
    ├── ParseError                  text or bytes that are not the message they should be
    ├── ParameterError              a field whose value a layer, filler or solver cannot take
    │   └── UnknownTypeError        a layer, solver, filler or lr policy that nobody registered
    ├── GraphError                  layers and blobs that do not fit together by name or number
    │   └── UnknownNameError        a blob or layer that this net does not have (also a KeyError)
    ├── ShapeError                  blobs that do not fit together by shape (also a ValueError)
    ├── WeightsError                weights that are not this net's (also a ValueError)
    ├── DataError                   databases, lists, labels and images (also a ValueError)
    ├── SnapshotError               snapshots that could not be written or resumed
    ├── MemoryLimitError            a net larger than this machine's memory (also a MemoryError)
    ├── MemoryReusedError           numbers of a blob whose memory another blob has taken over
    ├── MissingMethodError          a layer's class without a pass (also a NotImplementedError)
    ├── EngineError                 a library that computes instead of numpy, and cannot
    ├── MissingPackageError         an optional package that is not installed (also an ImportError)
    ├── AssignmentError             something replaced that is written into (also an AttributeError)
    └── OldNameError                a name that pycaffe has given up (also an AttributeError)

A message says what was found, where, and what to do::

    Unknown layer type 'InnerPorduct' (layer 'ip1', lenet.prototxt:42:9). Did you mean 'InnerProduct'?

Whoever raises knows what was found; whoever calls often knows where. `CaffeError.at` adds the latter on the way up.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

_E = TypeVar("_E", bound="CaffeError")


class Position(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class CaffeError(RuntimeError):
    """Base of the tree.

    `found` says what is wrong, without a full stop; `hint` what to do, as a sentence of its own. `field` is the path of
    the field at fault from its layer's or solver's message, "convolution_param.num_output": who knows the file turns it
    into a position. `layer` and `layer_type` name the layer, `position` the place in the file; `at` adds them later.
    """

    def __init__(
        self,
        found: str,
        *,
        hint: str = "",
        field: str = "",
        layer: str | None = None,
        layer_type: str | None = None,
        position: Position | None = None,
    ) -> None:
        super().__init__(found)
        self.found = found
        self.hint = hint
        self.field = field
        self.layer = layer
        self.layer_type = layer_type
        self.position = position

    def at(
        self: _E, *, layer: str | None = None, layer_type: str | None = None, position: Position | None = None
    ) -> _E:
        """Add what is not known yet of where this happened; returns the same error, to be raised on."""
        if self.layer is None:
            self.layer, self.layer_type = layer, layer_type
        if self.position is None:
            self.position = position
        return self

    def __str__(self) -> str:
        where = []
        if self.layer is not None:
            where.append(f"layer '{self.layer}'" + (f" of type {self.layer_type}" if self.layer_type else ""))
        if self.position is not None:
            where.append(str(self.position))
        text = self.found + (f" ({', '.join(where)})" if where else "")
        return f"{text}. {self.hint}" if self.hint else text


class MissingFileError(CaffeError, FileNotFoundError):
    """A file or folder that should be there is not."""

    # OSError.__new__ would swallow the keywords and OSError.__str__ the text.
    def __new__(cls, *args: object, **kwargs: object) -> MissingFileError:
        return FileNotFoundError.__new__(cls)

    __str__ = CaffeError.__str__


class ParseError(CaffeError):
    """Text or bytes that are not the message they should be."""


class ParameterError(CaffeError):
    """A field has a value, or a combination of values, that its owner cannot take."""


class UnknownTypeError(ParameterError):
    """A type name that nobody registered."""


class GraphError(CaffeError):
    """Layers and blobs that do not fit together by name or number."""


class UnknownNameError(GraphError, KeyError):
    """A blob or layer that this net does not have."""

    __str__ = CaffeError.__str__


class ShapeError(CaffeError, ValueError):
    """Blobs that do not fit together by shape."""


class WeightsError(CaffeError, ValueError):
    """Weights that are not this net's."""


class DataError(CaffeError, ValueError):
    """A database, list, label or image that cannot be used."""


class SnapshotError(CaffeError):
    """A snapshot that could not be written or resumed."""


class MemoryLimitError(CaffeError, MemoryError):
    """A net larger than this machine's memory."""


class MemoryReusedError(CaffeError):
    """A blob's numbers are not there: in a net with reuse_memory=True another one lives in their memory, or a layer did
    without them.
    """


class MissingMethodError(CaffeError, NotImplementedError):
    """A layer's class lacks a method that every layer has."""


class EngineError(CaffeError):
    """A library that was chosen to compute instead of numpy, and cannot."""


class MissingPackageError(CaffeError, ImportError):
    """An optional package that is not installed; the hint is the command that installs it."""

    __str__ = CaffeError.__str__


class AssignmentError(CaffeError, AttributeError):
    """Something was replaced, or taken out, that belongs to a net for good; the hint says how to write into it."""


class OldNameError(CaffeError, AttributeError):
    """A name that old scripts use and pycaffe has given up; the hint is what to use instead."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.65) -> str | None:
    """The known name that this one is most likely a misspelling of, or None when none is alike by `cutoff` (0 to 1)."""
    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint for a misspelt name: the nearest known one as a question, or nothing."""
    near = nearest(name, known)
    return f"Did you mean '{near}'?" if near else ""


def shortened(text: str) -> str:
    """Text of a user's as an error quotes it: the beginning of what is long."""
    return text if len(text) <= 40 else text[:37] + "..."


def size_text(shape: Sequence[int]) -> str:
    """(3, 32, 32) -> '3×32×32'."""
    return "×".join(map(str, shape))
