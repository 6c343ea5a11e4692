"""Names that stand for several blobs, since a layer that runs in place on one was given a top of its own (hazards).

In Caffe the name is one memory: it shows what was computed last, and the next pass goes on from what is there. Here it
stands for the last of the blobs, and numbers are handed on where a pass begins or ends between them, or somebody looks
on layer by layer. The name of a net's input stays the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pycaffe_lite.blob import Blob, Side
from pycaffe_lite.graph.plan import Node

Calls = Sequence[Callable[[int], object]]


@dataclass
class _Event:
    """A layer's pass reads one of the blobs, or writes it."""

    index: int
    blob: Blob
    writes: bool


@dataclass
class _Name:
    blob: Blob
    """What it stands for."""
    events: dict[Side, list[_Event]] = field(default_factory=lambda: {"data": [], "diff": []})
    """In the order of the pass that computes data, or diffs."""

    def begin(self, what: Side, layers: range) -> None:
        """Before a pass of these layers: let it find in the blobs what the name shows."""
        written: list[Blob] = []
        for event in self._of(what, layers):
            self.blob.settle(what)
            if event.writes:
                written.append(event.blob)
            elif event.blob is not self.blob and not any(event.blob is blob for blob in written):
                event.blob.take(self.blob, what)

    def end(self, what: Side, layers: range) -> None:
        """After it: let the name show what was written last."""
        last = _last(self._of(what, layers))
        if last is not None and last is not self.blob:
            self.blob.take(last, what)

    def _of(self, what: Side, layers: range) -> list[_Event]:
        return [event for event in self.events[what] if event.index in layers]


class Names:
    """All such names of a net of so many layers."""

    def __init__(self, names: Sequence[_Name], layers: int) -> None:
        self._names, self._layers = names, layers
        both = (event.blob for name in names for events in name.events.values() for event in events)
        self.blobs = list({id(blob): blob for blob in both}.values())
        """All that such a name stands for, each once."""
        lasts = [(name.blob, _last(name.events["diff"])) for name in names]
        self._gradients = [(blob, last) for blob, last in lasts if last is not None and last is not blob]
        """What a name stands for, and whose diff it shows after a whole backward pass."""

    @contextmanager
    def one_memory(self, what: Side, first: int, last: int) -> Iterator[None]:
        """A pass of the layers from first to last, forward, which computes `data`, or backward."""
        layers = range(first, last + 1)
        if len(layers) < self._layers:
            self._begin(what, layers)
            yield
            self._end(what, layers)
        elif what == "diff":
            for blob, _ in self._gradients:
                blob.show_own_diff()
            yield
            for blob, source in self._gradients:
                blob.show_diff_of(source)
        else:
            yield

    def around(self, what: Side, before: Calls, after: Calls) -> tuple[Calls, Calls]:
        """What is called before and after each layer so that these callbacks, too, find one memory."""
        if not (before or after):
            return before, after
        begin, end = (lambda index, do=do: do(what, range(index, index + 1)) for do in (self._begin, self._end))
        return [*before, begin], [end, *after]

    def _begin(self, what: Side, layers: range) -> None:
        for name in self._names:
            name.begin(what, layers)

    def _end(self, what: Side, layers: range) -> None:
        for name in self._names:
            name.end(what, layers)


def _last(events: Sequence[_Event]) -> Blob | None:
    """The blob that is written last."""
    return next((event.blob for event in reversed(events) if event.writes), None)


def names_of(nodes: Sequence[Node], blobs: Mapping[str, Blob], inputs: Collection[str]) -> Names | None:
    """Those of a net that is built; None where each name is one blob."""
    tops: dict[str, list[Blob]] = {}
    for node in nodes:
        for name, top, in_place in zip(node.top_names, node.tops, node.in_place, strict=True):
            tops[name] = [*tops.get(name, []), top] if in_place else [top]
    weighed = [blob for node in nodes for blob, _ in node.losses]  # their diffs hold the weights
    several = {name for name, made in tops.items() if any(blob is not made[0] for blob in made)}
    names = {name: _Name(blobs[name]) for name in several.difference(inputs) if blobs[name] not in weighed}
    if not names:
        return None
    for node in nodes:
        for name, bottom in _bottoms(node, names):
            names[name].events["data"].append(_Event(node.index, bottom, writes=False))
        for name, top in _tops(node, names):
            names[name].events["data"].append(_Event(node.index, top, writes=True))
    for node in reversed([node for node in nodes if node.need_backward]):
        for name, top in _tops(node, names):
            names[name].events["diff"].append(_Event(node.index, top, writes=False))
        for name, bottom in _bottoms(node, names, node.propagate_down):
            names[name].events["diff"].append(_Event(node.index, bottom, writes=True))
    return Names(list(names.values()), len(nodes))


def _tops(node: Node, names: Collection[str]) -> Iterator[tuple[str, Blob]]:
    return ((name, top) for name, top in zip(node.top_names, node.tops, strict=True) if name in names)


def _bottoms(node: Node, names: Collection[str], wanted: Sequence[bool] = ()) -> Iterator[tuple[str, Blob]]:
    """Those of these names, and of these places; of a Python layer that works on a copy, the original."""
    original = dict(node.copies)
    for i, (name, bottom) in enumerate(zip(node.bottom_names, node.bottoms, strict=True)):
        if name in names and (not wanted or wanted[i]):
            yield name, original.get(i, bottom)
