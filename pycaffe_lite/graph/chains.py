"""Chains: layers that run in place on one blob, one after another, which its maker computes in its own forward pass.

What is in between is then never written anywhere, so a chain is only for passes that cover it whole and that nobody
watches layer by layer. Backward passes have no chains, and need none of what is in between: no in-place layer stands
where a backward pass does (see hazards).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pycaffe_lite.blob import shapes_of
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.graph.build import reshape
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.proto import caffe_pb2 as pb


class Chains:
    """The chains among a net's nodes, each as one node to be run in the place of its members."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._members = {members[0].index: members for members in _find(nodes)}
        self._chains = {first: _as_one(members) for first, members in self._members.items()}
        self._all = list(self._walk(0, len(nodes) - 1))

    def between(self, start: int, end: int) -> Sequence[Node]:
        """What to run for layers start to end (indices, both included): as few nodes as there are."""
        if (start, end) == (0, len(self._nodes) - 1):
            return self._all
        return list(self._walk(start, end))

    def within(self) -> dict[int, Node]:
        """The members that another computes, by index, and that other."""
        return {node.index: first for first, *others in self._members.values() for node in others}

    def _walk(self, start: int, end: int) -> Iterator[Node]:
        index = start
        while index <= end:
            members = self._members.get(index)
            if members is not None and members[-1].index <= end:
                yield self._chains[index]
                index = members[-1].index + 1
            else:
                yield self._nodes[index]
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


def _as_one(members: list[Node]) -> Node:
    first = members[0]
    return Node(first.spec, first.index, _Chain(first.message, members), bottoms=first.bottoms, tops=first.tops)


class _Chain(Layer):
    """Runs the members' layers. Their shapes are looked after here, as each may also run, and be reshaped, alone."""

    def __init__(self, message: pb.LayerParameter, members: Sequence[Node]) -> None:
        self._members = members
        self._first = members[0].layer
        self._followers = [node.layer for node in members[1:]]

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        for node in self._members:
            if node.shapes != shapes_of(node.blobs):
                try:
                    reshape(node)
                except CaffeError as e:
                    raise node.spec.blame(e) from e.__cause__
        self._first.forward_with(self._followers, bottom, top)
