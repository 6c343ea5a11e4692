"""Chains: layers that run in place on one blob, one after another, which its maker computes in its own forward pass.

What is in between is then never written anywhere, so a chain is only for passes that cover it whole and that nobody
watches layer by layer. Backward passes need none of what is in between: no in-place layer stands where a backward pass
does (see hazards). They have chains of one kind: a layer in place, the next one, which was to run in place and
got memory of its own, and those in place on that; of what is in between nobody else knows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.graph.build import settle
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.proto import caffe_pb2 as pb


class Chains:
    """The chains among a net's nodes, each as one node to be run in the place of its members."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        through = {members[0].index: members for members in _find_through(nodes)}
        self._members = {members[0].index: members for members in _find(nodes)} | through
        self._chains = {
            first: _as_one(members, (_Through if first in through else _Chain)(members[0].message, members))
            for first, members in self._members.items()
        }
        last = len(nodes) - 1
        self._all = list(_walk(nodes, self._members, self._chains, 0, last))
        self._through = through
        self._all_backward = list(_walk(nodes, through, self._chains, 0, last))[::-1]

    def between(self, start: int, end: int) -> Sequence[Node]:
        """What to run for layers start to end (indices, both included): as few nodes as there are."""
        if (start, end) == (0, len(self._nodes) - 1):
            return self._all
        return list(_walk(self._nodes, self._members, self._chains, start, end))

    def backward(self, start: int, end: int) -> Sequence[Node]:
        """What to run, in this order, for the backward passes of layers start down to end."""
        if (start, end) == (len(self._nodes) - 1, 0):
            return self._all_backward
        return list(_walk(self._nodes, self._through, self._chains, end, start))[::-1]

    def within(self) -> dict[int, Node]:
        """The members that another computes, by index, and that other."""
        return {node.index: first for first, *others in self._members.values() for node in others}


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


def _find(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    after = 0
    for node in nodes:
        if node.index < after or not _plain(node):
            continue
        followers = _in_place_behind(nodes, node)
        count = type(node.layer).absorbs(node.layer, [f.layer for f in followers]) if followers else 0
        if count:
            after = node.index + count + 1
            yield [node, *followers[:count]]


def _find_through(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Chains in which the second layer was to run in place, but got memory of its own (see hazards)."""
    for maker, node, second in zip(nodes, nodes[1:], nodes[2:], strict=False):
        if not (_learns_in_place(node) and node.tops[0] is node.bottoms[0] and node.tops[0] in maker.tops):
            continue
        if type(maker.layer).views or not (_learns_in_place(second) and second.bottoms[0] is node.tops[0]):
            continue
        followers = [second, *itertools.takewhile(_learns_in_place, _in_place_behind(nodes, second))]
        count = type(node.layer).absorbs_through(node.layer, [f.layer for f in followers])
        if count and second.tops[0] is not node.tops[0]:
            yield [node, *followers[:count]]


def _learns_in_place(node: Node) -> bool:
    """Whether it has one blob, by name, as bottom and as top, and both passes."""
    simple = _plain(node) and len(node.bottoms) == 1 and node.in_place[0] and not node.bottom_weights
    return simple and node.need_backward and node.propagate_down[0]


def _in_place_behind(nodes: Sequence[Node], first: Node) -> list[Node]:
    """The layers next in line that have nothing but this one's top, as bottom and as top."""
    found: list[Node] = []
    for node in nodes[first.index + 1 :]:
        if not _plain(node) or len(node.bottoms) != 1 or not node.bottoms[0] is node.tops[0] is first.tops[0]:
            break
        found.append(node)
    return found


def _plain(node: Node) -> bool:
    """One top that counts in no loss; and not a user's own layer."""
    return len(node.tops) == 1 and not node.losses and not node.always_reshape


def _as_one(members: list[Node], layer: Layer) -> Node:
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

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        if self._settled_at != Blob.changes:
            self._settle()
        self._run(bottom, top)

    def _settle(self) -> None:
        now = Blob.changes
        for node in self._members:
            if node.settled_at != Blob.changes:
                try:
                    settle(node)
                except CaffeError as e:
                    raise node.spec.blame(e) from e.__cause__
        self._settled_at = now

    def _run(self, bottom: Blobs, top: Blobs) -> None:
        self._first.forward_with(self._followers, bottom, top)


class _Through(_Chain):
    """Runs the members' layers, forward and backward."""

    def _run(self, bottom: Blobs, top: Blobs) -> None:
        self._first.forward_through(self._followers, bottom, top)

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        self._first.backward_through(self._followers, top, bottom)
