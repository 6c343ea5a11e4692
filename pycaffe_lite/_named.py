"""The ordered dictionaries of a net, which answer a wrong name with the nearest right one and complete names on tab."""

from __future__ import annotations

from collections import OrderedDict
from typing import NoReturn, TypeVar

from pycaffe_lite.errors import UnknownNameError, did_you_mean

T = TypeVar("T")


class Named(OrderedDict[str, T]):
    """Names to blobs, parameters or layers; `noun` says which, in messages."""

    noun = "entry"

    def __missing__(self, name: str) -> NoReturn:
        few = ", ".join(self) if len(self) < 12 else ""
        raise UnknownNameError(f"This net has no {self.noun} '{name}'",
                               hint=did_you_mean(name, self) or (few and f"It has {few}."))

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return "\n".join(repr(v) if self.noun == "blob" else f"{k}: {v!r}" for k, v in self.items()) or "{}"


class NamedBlobs(Named[T]):
    noun = "blob"


class NamedLayers(Named[T]):
    noun = "layer"


class NamedParams(Named[T]):
    noun = "layer with parameters"
