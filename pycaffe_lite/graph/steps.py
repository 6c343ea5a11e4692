"""Steps of training done again: forward and backward passes without the layers, as `again` does forward passes.

A step is a function of the weights, of the data, of where everything lies and of which gradients count as 0 (or as
others'), so that who adds the first one overwrites them. Where a step has left all of that but the numbers as it found
it, and the next begins so, what layers did is done again. Weights are others in every step: layers that keep something
made of them say in phase TRAIN that they made it. Layers of the forward pass that have not said what they did, such as
those that bring data, run as ever; in the backward pass all have to say it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob, storages_of
from pycaffe_lite.done import BY_LAYER
from pycaffe_lite.graph.again import Note, Pass, Repeats, Step, pays, step_of
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.storage import Standing, Storage, all_stand


class Steps(Repeats):
    """The steps of a net's `nodes`: `forward` is what the one pass runs, and `backward` what the other does."""

    def __init__(self, nodes: Sequence[Node], forward: Sequence[Node], backward: Sequence[Node]) -> None:
        super().__init__(nodes, [*forward, *backward], None)
        self._forward, self._backward = forward, backward
        self._began: _State | None = None
        """How the step began that is being noted."""

    def left(self, done: int) -> tuple[Sequence[Node], Sequence[Node]]:
        """What is left to be run of the two passes when so many nodes are done."""
        return self._forward[done:], self._backward[max(0, done - len(self._forward)) :]

    def notes(self) -> list[Note] | None:
        """As Repeats.notes, for a step."""
        notes = super().notes()
        self._began = None if notes is None else _State(self._nodes)
        return notes

    def keep(self, notes: Sequence[Note]) -> None:
        """Have the step that has just run, and that these are of, done again: not where a layer has not said what its
        backward pass did, nor where most layers would run.
        """
        began, self._began = self._began, None
        count = len(self._forward)
        forward = [step_of(note, node) for node, note in zip(self._forward, notes[:count], strict=True)]
        backward = [step_of(note) for note in notes[count:]]
        known = all(map(_is_known, self._backward, notes[count:], backward))
        steps = [*forward, *backward]
        if known and began is not None and pays(steps):
            self._last = _Both(self._runs, steps, began, began.written_since(self._runs, count))
        else:
            self._pause()


def _is_known(node: Node, note: Note, step: Step) -> bool:
    """Whether the step can be done again, if by the layer then by one that has no gradients to add."""
    return not step.by_layer or (note.done is BY_LAYER and not node.layer.blobs)


class _State:
    """Of a net, all that its passes depend on besides numbers."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        blobs = [blob for node in nodes for blob in node.blobs]
        params = [blob for node in nodes for blob in node.layer.blobs]
        self._changes = Blob.changes
        self._storages = [*storages_of(blobs), *storages_of([*params, *blobs], "diff")]
        self._standings: list[Standing] = [storage.standing() for storage in self._storages]
        self._unwritten = [diff for diff in storages_of(params, "diff") if diff.forgotten]

    def is_now(self) -> bool:
        """Whether all is as it was."""
        return self._changes == Blob.changes and all_stand(self._storages, self._standings)

    def written_since(self, nodes: Sequence[Node], first: int) -> list[tuple[Storage, int]]:
        """Gradients that counted as 0 and do so no longer, and which of the nodes, of which one from `first` on has
        written each, was the first to do that.
        """
        written = {id(diff): (diff, first) for diff in self._unwritten if not diff.forgotten}
        for i in reversed(range(first, len(nodes))):
            for diff in storages_of(nodes[i].layer.blobs, "diff"):
                if id(diff) in written:
                    written[id(diff)] = diff, i
        return list(written.values())


class _Both(Pass):
    """A step that can be done again, and the gradients that it overwrites, each with the first of `runs` to do it."""

    def __init__(
        self, runs: Sequence[Node], steps: Sequence[Step], began: _State, overwritten: Sequence[tuple[Storage, int]]
    ) -> None:
        super().__init__(runs, steps, [], [], None)
        self._began, self._overwritten = began, overwritten

    def holds(self) -> bool:
        return self._began.is_now()

    def run(self) -> tuple[int, float]:
        for diff, _ in self._overwritten:
            diff.recall()
        return super().run()

    def _end_early(self, done: int, begun: int) -> None:
        for diff, i in self._overwritten:
            if i >= done:
                diff.forget()
