"""Forward passes done again: what layers did last time, without the layers.

Most of what a layer does before it computes is to find out that all is as it was: shapes, weights, where its blobs lie.
Between two whole passes of a net in phase TEST that is found out for all layers together. Where no blob has taken
another shape, nobody can have written into weights and all memory is where it was, what each layer did is done again
(`Done`). Layers that have not said what they did run as ever.

In a net that reuses memory, blobs then do not take turns: they have lost their numbers at the end of a pass if they had
at the end of the one before. Layers that run find the memory of their blobs all the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob, storages_of
from pycaffe_lite.done import NOTHING, Call, Done, Otherwise
from pycaffe_lite.errors import CaffeError, MemoryReusedError
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.graph.reuse import Reuse
from pycaffe_lite.storage import Storage, all_at
from pycaffe_lite.watched import WatchedStorage

LONGEST_REST = 63
"""Passes."""
MOST_BY_LAYERS = 0.5
"""The part of a pass's nodes that layers may still run if it is to be done again: where that is all of them it takes
longer so, for five small layers 16 µs and not 15.
"""


class Repeats:
    """The whole forward passes of a net's `nodes`, of which each runs `runs`: these and chains in the place of some."""

    def __init__(self, nodes: Sequence[Node], runs: Sequence[Node], reuse: Reuse | None) -> None:
        self._nodes, self._runs, self._reuse = nodes, runs, reuse
        self._last: Pass | None = None
        self._rest = self._resting = 0
        """For how many passes none is noted after the next that is noted in vain, and for how many now."""

    def run(self) -> tuple[int, float]:
        """Do the last pass again. Returns how many of `runs` that was, and their loss: none where things may be
        otherwise now, and not all where they turned out to be.
        """
        done, loss, last = 0, 0.0, self._last
        if last is None:
            return 0, 0.0
        if last.holds():
            done, loss = last.run()
        if done == len(self._runs):
            self._rest = 0
        else:
            self._last = None
            self._pause()
        return done, loss

    def _pause(self) -> None:
        self._resting, self._rest = self._rest, min(2 * self._rest + 1, LONGEST_REST)

    def notes(self) -> list[Note] | None:
        """For a whole pass, to `note` there what each of `runs` did; None where that is not worth while."""
        if self._resting:
            self._resting -= 1
            return None
        return []

    def keep(self, notes: Sequence[Note]) -> None:
        """Have the pass that has just run, and that these are of, done again: not where somebody might write into
        weights unnoticed, where a blob was in one memory after the other, where somebody might have an array of memory
        that is others' next, nor where most layers would run all the same.
        """
        steps = [step_of(note, node) for node, note in zip(self._runs, notes, strict=True)]
        absorbed = self._reuse.absorbed if self._reuse is not None else ()
        unneeded = storages_of(blob for what in absorbed for blob in what.blobs)
        storages = storages_of(top for node in self._nodes for top in node.tops)
        of_buffers = [storage for storage in storages if storage.buffer is not None and storage not in unneeded]
        if (
            pays(steps)
            and all(blob.written("data") is not None for node in self._nodes for blob in node.layer.blobs)
            and all(note.is_there() for note in notes)
            and all(storage.unseen for storage in of_buffers)
        ):
            shown = [storage for storage in self._of_layers(steps) if storage in of_buffers and storage.lost]
            self._last = Pass(self._runs, steps, storages, shown, self._reuse)
        else:
            self._pause()

    def _of_layers(self, steps: Sequence[Step]) -> list[Storage]:
        """What those read and write that have not said what they did."""
        ends = [*(node.index for node in self._runs[1:]), len(self._nodes)]
        return storages_of(
            blob
            for node, end, step in zip(self._runs, ends, steps, strict=True)
            if step.by_layer
            for member in self._nodes[node.index : end]
            for blob in (*member.bottoms, *member.tops)
        )

    def forget(self) -> None:
        """Let the memory of the last pass go."""
        self._last = None


class Note:
    """What a node has just done, if the layer says so, and where what it wrote is now. It keeps no memory."""

    def __init__(self, done: Done | None, written: list[Storage], by_layer: Call) -> None:
        self.done = done if hasattr(done, "again") else None  # users' layers may return anything
        self.written, self.by_layer = written, by_layer
        self._memories = [_reference(storage.memory) for storage in self.written]

    @classmethod
    def of_forward(cls, node: Node, done: Done | None) -> Note:
        return cls(done, storages_of(node.tops), lambda: node.layer.forward(node.bottoms, node.tops))

    @classmethod
    def of_backward(cls, node: Node, done: Done | None) -> Note:
        return cls(done, [], lambda: node.layer.backward(node.tops, node.propagate_down, node.bottoms))

    def is_there(self) -> bool:
        """Whether that has not moved."""
        return all(s.is_in(memory()) for s, memory in zip(self.written, self._memories, strict=True))


def _reference(memory: Array | None) -> Callable[[], Array | None]:
    return _nothing if memory is None else weakref.ref(memory)


def _nothing() -> None:
    """As a weak reference to what is gone, and as what does nothing."""


def loss_of(node: Node) -> float:
    """What a node's tops add to the net's loss."""
    loss = 0.0
    for top, weight in node.losses:
        loss += weight * (top.data.item() if top.count == 1 else float(top.data.sum(dtype="f8")))
    return loss


@dataclass
class Step:
    """What to call for a node, and whose numbers that writes without saying so."""

    call: Call
    written: list[Storage]
    by_layer: bool
    is_quiet: bool
    losing: Node | None
    """The node, if its tops count in the net's loss."""


def step_of(note: Note, node: Node | None = None) -> Step:
    """As the note says, for a node whose tops' loss counts then."""
    losing = node if node is not None and node.losses else None
    if note.done is NOTHING:
        return Step(_nothing, [], False, losing is None, losing)
    call = None if note.done is None else note.done.again()
    if note.done is None or call is None:
        return Step(note.by_layer, [], True, False, losing)
    return Step(call, note.written, False, losing is None and note.done.is_quiet, losing)


def pays(steps: Sequence[Step]) -> bool:
    """Whether a pass of these is done again faster than by layers."""
    return sum(step.by_layer for step in steps) <= MOST_BY_LAYERS * len(steps)


class Pass:
    """A pass that can be done again."""

    def __init__(
        self,
        runs: Sequence[Node],
        steps: Sequence[Step],
        storages: Sequence[Storage],
        lost: Sequence[Storage],
        reuse: Reuse | None,
    ) -> None:
        self._runs, self._reuse, self._lost = runs, reuse, lost
        self._storages, self._places = storages, [storage.place() for storage in storages]
        self._changes = Blob.changes, WatchedStorage.changes
        self._steps = [
            (i, step.call, step if step.by_layer or step.losing else None)
            for i, step in enumerate(steps)
            if step.call is not _nothing or step.losing
        ]
        """What to call, for which of `runs`, and the step where there is more to do than to call."""
        self._tops = {
            i: [(storage, storage.last_memory) for storage in storages_of(runs[i].tops)]
            for i, step in enumerate(steps)
            if step.by_layer
        }
        """Of layers that run in their place: where those after them read."""
        self._written = [storage for step in steps for storage in step.written]
        self._is_quiet = all(step.is_quiet for step in steps)

    def holds(self) -> bool:
        """Whether nothing but numbers can have changed."""
        return self._changes == (Blob.changes, WatchedStorage.changes) and all_at(self._storages, self._places)

    def run(self) -> tuple[int, float]:
        """As Repeats.run."""
        if self._is_quiet:
            return self._run()
        with np.errstate(all="ignore"):
            return self._run()

    def _run(self) -> tuple[int, float]:
        changes, loss, i = Blob.changes, 0.0, 0
        for storage in self._written:
            storage.writes += 1
        try:
            for storage in self._lost:
                storage.show()
            for i, call, more in self._steps:
                call()
                if more is not None:
                    if more.losing is not None:
                        loss += loss_of(more.losing)
                    if Blob.changes != changes or (more.by_layer and self._has_moved(i)):
                        self._end_early(i + 1, i + 1)
                        return i + 1, loss
        except (MemoryReusedError, Otherwise):  # a layer asks for what it did not ask for last time
            self._end_early(i, i)
            return i, loss
        except BaseException as e:
            self._end_early(i, i + 1)
            if isinstance(e, CaffeError):
                raise self._runs[i].spec.blame(e) from e.__cause__
            raise
        for storage in self._lost:
            storage.hide()
        return len(self._runs), loss

    def _has_moved(self, i: int) -> bool:
        """Whether a layer that ran in its place has other memory for its tops than last time."""
        return any(storage.memory is not memory for storage, memory in self._tops[i])

    def _end_early(self, done: int, begun: int) -> None:
        """Let things be as where so many of `runs` were done, and begun, one by one."""
        for storage in self._lost:
            storage.hide()
        if self._reuse is not None:
            self._reuse.catch_up(self._runs[:begun])
