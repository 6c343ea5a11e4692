"""Who implements what: one small registry, used for layers, solvers, fillers and lr policies.

Registration is a decorator next to the class::

    @register_layer("ReLU")
    class ReLU(Layer): ...

    @register_layer("ReLU", engine="onednn")
    class OneDnnReLU(ReLU): ...

A layer's key is its type, a dialect ('' is Caffe's own) for forks that give one type name two meanings, and an engine
('' is numpy). What an engine lacks falls back to numpy, what a dialect leaves as it is to Caffe's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from pycaffe_lite._forks import fork_hint
from pycaffe_lite.errors import UnknownTypeError, did_you_mean

if TYPE_CHECKING:
    from pycaffe_lite.layer import Layer

T = TypeVar("T")
_C = TypeVar("_C", bound="type[Layer]")
_F = TypeVar("_F")


class Registry(Generic[T]):
    """Names to things of one kind; `kind` is the noun in messages."""

    def __init__(self, kind: str, field: str = "type") -> None:
        self.kind = kind
        self.field = field
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> None:
        if name in self._entries and self._entries[name] is not entry:
            raise ValueError(f"{self.kind} '{name}' is registered twice: {self._entries[name]!r} and {entry!r}")
        self._entries[name] = entry

    def register(self, name: str) -> Callable[[_F], _F]:
        """Decorator form of `add`."""

        def decorate(entry: _F) -> _F:
            self.add(name, entry)  # type: ignore[arg-type]
            return entry

        return decorate

    def __getitem__(self, name: str) -> T:
        """The entry; raises UnknownTypeError with the nearest known name, or all of them when they are few."""
        try:
            return self._entries[name]
        except KeyError:
            if not name:
                raise UnknownTypeError(f"The {self.kind} is missing", field=self.field) from None
            hint = did_you_mean(name, self._entries)
            if not hint and len(self._entries) < 12:
                hint = f"Known are {', '.join(self)}."
            raise UnknownTypeError(f"Unknown {self.kind} '{name}'", field=self.field, hint=hint) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


_layers: dict[tuple[str, str], Registry[type[Layer]]] = {("", ""): Registry("layer type")}


def register_layer(type_name: str, *, dialect: str = "", engine: str = "") -> Callable[[_C], _C]:
    """Class decorator: this Layer subclass implements `type_name`."""

    def decorate(cls: _C) -> _C:
        _layers.setdefault((dialect, engine), Registry("layer type")).add(type_name, cls)
        cls.type = type_name
        plain = _layers["", ""]
        if engine and type_name in plain and cls.__doc__:  # for whoever asks a layer at a prompt what it does
            read = plain[type_name]
            file = f"{read.__module__.replace('.', '/')}.py"
            cls.__doc__ += f"\n\n    What it computes is to be read in {file}, class {read.__name__}.\n    "
        return cls

    return decorate


def find_layer(type_name: str, *, dialect: str = "", engines: Sequence[str] = ()) -> tuple[type[Layer], str]:
    """The class for a type and the engine it belongs to: the first of `engines` that has it, else numpy's ('').

    A dialect's own meaning of the type, in any engine, goes before Caffe's. Raises UnknownTypeError.
    """
    for spoken in dict.fromkeys((dialect, "")):
        for engine in (*engines, ""):
            registry = _layers.get((spoken, engine))
            if registry is not None and type_name in registry:
                return registry[type_name], engine
    try:
        return _layers["", ""][type_name], ""
    except UnknownTypeError as e:
        e.hint = fork_hint(type_name) or e.hint
        raise


def layer_types() -> list[str]:
    """All layer types that a network may use, sorted."""
    return list(_layers["", ""])
