"""Chains: layers that one of them computes in its own pass, run as one node.

What is in between is then never written anywhere, so a chain is only for passes that cover it whole and that nobody
watches layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pycaffe_lite.blob import Blob
from pycaffe_lite.done import Done
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.graph.absorbed import Absorbed, Line, Parts, Sum, find_in_place, find_through
from pycaffe_lite.graph.build import settle
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.graph.reuse import Reuse
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.proto import caffe_pb2 as pb


class Chains:
    """The chains among a net's nodes, each as one node to be run in the place of its members."""

    def __init__(self, nodes: Sequence[Node], reuse: Reuse | None = None) -> None:
        self._nodes = nodes
        in_place = {members[0].index: members for members in find_in_place(nodes)}
        through = {members[0].index: members for members in find_through(nodes)}
        absorbed = {what.members[0].index: what for what in (reuse.absorbed if reuse is not None else ())}
        self._members = in_place | through | {first: what.members for first, what in absorbed.items()}
        self._chains = {
            first: _as_one(members, (_Through if first in through else _Chain)(members[0].message, members))
            for first, members in (in_place | through).items()
        }
        self._workers = {first: members[0] for first, members in self._members.items()}
        for first, what in absorbed.items():
            assert reuse is not None
            apart = list(_walk(nodes, in_place, self._chains, first, what.members[-1].index))
            layer = _KINDS[type(what)](what.worker.message, what, apart, reuse)
            self._workers[first] = what.worker
            self._chains[first] = replace(_as_one(what.members, layer), spec=what.worker.spec, absorbs=True)
        last = len(nodes) - 1
        self.all = list(_walk(nodes, self._members, self._chains, 0, last))
        """What a whole forward pass runs."""
        self._through = through
        self.all_backward = [n for n in _walk(nodes, through, self._chains, 0, last) if n.need_backward][::-1]
        """What a whole backward pass runs."""

    def between(self, start: int, end: int) -> Sequence[Node]:
        """What to run for layers start to end (indices, both included): as few nodes as there are."""
        if (start, end) == (0, len(self._nodes) - 1):
            return self.all
        return list(_walk(self._nodes, self._members, self._chains, start, end))

    def backward(self, start: int, end: int) -> Sequence[Node]:
        """What to run, in this order, for the backward passes of layers start down to end."""
        if (start, end) == (len(self._nodes) - 1, 0):
            return self.all_backward
        return list(_walk(self._nodes, self._through, self._chains, end, start))[::-1]

    def within(self) -> dict[int, Node]:
        """The members that another computes, by index, and that other."""
        firsts = [node.index for node in self.all if node.index in self._members]
        pairs = ((node, self._workers[first]) for first in firsts for node in self._members[first])
        return {node.index: worker for node, worker in pairs if node is not worker and not worker.falls_back}


def _walk(
    nodes: Sequence[Node], members: Mapping[int, list[Node]], chains: Mapping[int, Node], start: int, end: int
) -> Iterator[Node]:
    """Nodes start to end, with chains for their members where these are all among them."""
    index = start
    while index <= end:
        chain = members.get(index)
        if chain is not None and chain[-1].index <= end:
            yield chains[index]
            index = chain[-1].index + 1
        else:
            yield nodes[index]
            index += 1


def _as_one(members: Sequence[Node], layer: Layer) -> Node:
    first, last = members[0], members[-1]
    return Node(
        first.spec,
        first.index,
        layer,
        bottoms=first.bottoms,
        tops=last.tops,
        need_backward=True,
        propagate_down=[True],
    )


class _Chain(Layer):
    """Runs the members' layers. Their shapes are looked after here, as each may also run, and be reshaped, alone."""

    def __init__(self, message: pb.LayerParameter, members: Sequence[Node]) -> None:
        self._members = members
        self._first = members[0].layer
        self._followers = [node.layer for node in members[1:]]
        self._settled_at = -1

    def forward(self, bottom: Blobs, top: Blobs) -> Done | None:
        if self._settled_at != Blob.changes:
            self._settle()
        return self._run(bottom, top)

    def _settle(self) -> None:
        now = Blob.changes
        for node in self._members:
            if node.settled_at != Blob.changes:
                try:
                    settle(node)
                except CaffeError as e:
                    raise node.spec.blame(e) from e.__cause__
        self._settled_at = now

    def _run(self, bottom: Blobs, top: Blobs) -> Done | None:
        return self._first.forward_with(self._followers, bottom, top)


class _Through(_Chain):
    """Runs the members' layers, forward and backward."""

    def _run(self, bottom: Blobs, top: Blobs) -> None:
        self._first.forward_through(self._followers, bottom, top)

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        self._first.backward_through(self._followers, top, bottom)


class _Absorbing(_Chain):
    """Runs what is Absorbed, whose blob is then lost; or its layers `apart`, where they cannot do without it."""

    def __init__(self, message: pb.LayerParameter, what: Absorbed, apart: Sequence[Node], reuse: Reuse) -> None:
        super().__init__(message, what.members)
        self._what, self._apart, self._reuse = what, apart, reuse

    def _run(self, bottom: Blobs, top: Blobs) -> Done | None:
        if self._reuse.may_absorb(self._what) and (done := self._at_once(bottom, top)) is not None:
            self._reuse.absorb(self._what)
            return done
        self._one_by_one()
        return None

    def _one_by_one(self) -> None:
        for node in self._apart:
            self._reuse.write(node)
            try:
                node.layer.forward(node.bottoms, node.tops)
            except CaffeError as e:
                raise node.spec.blame(e) from e.__cause__

    def _at_once(self, bottom: Blobs, top: Blobs) -> Done | None:
        raise NotImplementedError


class _Sum(_Absorbing):
    _what: Sum

    def _run(self, bottom: Blobs, top: Blobs) -> Done | None:
        self._reuse.begin(self._what)
        try:
            done = super()._run(bottom, top)
        finally:
            self._reuse.end(self._what)
        return done

    def _at_once(self, bottom: Blobs, top: Blobs) -> Done | None:
        done = self._first.forward_beyond(self._followers, self._what.other, bottom, top)
        if done is None and self._reuse.part(self._what):
            done = self._first.forward_beyond(self._followers, self._what.other, bottom, top)
        return done

    def _one_by_one(self) -> None:
        self._reuse.part(self._what)
        super()._one_by_one()


class _Parts(_Absorbing):
    def _at_once(self, bottom: Blobs, top: Blobs) -> Done | None:
        reader, *followers = self._followers
        return reader.forward_parts(followers, bottom, top)


class _Line(_Absorbing):
    def _at_once(self, bottom: Blobs, top: Blobs) -> Done | None:
        return self._first.forward_line(self._followers, bottom, [node.tops[0] for node in self._what.members])


_KINDS: dict[type[Absorbed], type[_Absorbing]] = {Sum: _Sum, Parts: _Parts, Line: _Line}
