"""The ordered dictionaries of a net: a wrong name is answered with the nearest right one, tab completes names, and
nothing goes in or out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from pycaffe_lite._display import blob_values, layer_line
from pycaffe_lite._table import Column, columns_of, html_table, human_count, text_table
from pycaffe_lite.blob import Blob
from pycaffe_lite.blob_vec import BlobVec
from pycaffe_lite.errors import AssignmentError, UnknownNameError, did_you_mean
from pycaffe_lite.layer import Layer

T = TypeVar("T")


class Named(OrderedDict[str, T]):
    """Names to blobs, parameters or layers; `noun` says which, in messages, and `advice` what to do instead of
    replacing one. A copy is a plain OrderedDict.
    """

    noun = "entry"
    advice = ""

    def __init__(self, entries: Mapping[str, T] | Iterable[tuple[str, T]]) -> None:
        super().__init__()
        for name, value in OrderedDict(entries).items():
            super().__setitem__(name, value)

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AssignmentError(f"A net's {self.noun} cannot be replaced or taken out", hint=self.advice)

    __setitem__ = __delitem__ = _refuse
    __ior__ = clear = move_to_end = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def copy(self) -> OrderedDict[str, T]:  # type: ignore[override]
        return OrderedDict(self)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self.copy().__reduce__()

    def __missing__(self, name: object) -> NoReturn:
        if not isinstance(name, str):
            raise UnknownNameError(f"This net has no {self.noun} {name!r}", hint="They go by name; see list(...).")
        few = f"It has {', '.join(self)}." if 0 < len(self) < 12 else ""
        raise UnknownNameError(f"This net has no {self.noun} '{name}'", hint=did_you_mean(name, self) or few)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def _cells(self, value: T) -> list[str]:
        """What a line says about an entry, a string for each column."""
        return [repr(value)]

    def _columns(self) -> list[Column]:
        return columns_of([[name, *self._cells(value)] for name, value in self.items()])

    def __repr__(self) -> str:
        return text_table(self._columns()) or "{}"

    def _repr_html_(self) -> str:
        return html_table(self._columns())


class NamedBlobs(Named[Blob]):
    noun = "blob"
    advice = "Write into the blob: net.blobs[name].data[...] = array."

    def _cells(self, value: Blob) -> list[str]:
        return [str(value.shape), blob_values(value)]


class NamedLayers(Named[Layer]):
    noun = "layer"
    advice = "Layers come from the network's file."

    def _cells(self, value: Layer) -> list[str]:
        return [layer_line(value)]


class NamesByLayer(Named[list[str]]):
    """The names of each layer's bottoms, or tops."""

    noun = "layer"
    advice = "Layers come from the network's file."

    def _cells(self, value: list[str]) -> list[str]:
        return [" ".join(value)]


class NamedParams(Named[BlobVec]):
    noun = "layer with parameters"
    advice = "Write into its blobs: net.params[name][0].data[...] = array."

    def _cells(self, value: BlobVec) -> list[str]:
        return [" ".join(str(b.shape) for b in value), human_count(sum(b.count for b in value))]
