"""Which layers another one computes in its own pass.

Backward passes need none of what is in between: no in-place layer stands where a backward pass does (see hazards), and
what is Absorbed is for nets without backward passes, whose blobs may lose their numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pycaffe_lite.blob import Blob, shapes_of
from pycaffe_lite.graph.plan import Node


@dataclass(eq=False)
class Absorbed:
    """Layers that one of them computes in its own pass without writing `blobs`, which others of them read alone."""

    members: list[Node]
    """In order, `by` among them."""
    blobs: list[Blob]
    by: Node
    """The layer that does without the blobs."""

    @property
    def worker(self) -> Node:
        """The layer that computes them all."""
        return self.members[0]


@dataclass(eq=False)
class Sum(Absorbed):
    """A layer and those in place on its top; `by`, which adds `other` to that, and those in place on the sum."""

    other: Blob


@dataclass(eq=False)
class Parts(Absorbed):
    """A layer whose top is its bottoms one behind the other; `by`, which reads these, and those in place on its top."""

    @property
    def worker(self) -> Node:
        return self.by


@dataclass(eq=False)
class Line(Absorbed):
    """Layers that read the top of the one before and nothing else; `by` is the first."""


def find_in_place(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Layers that run in place on one blob, one after another, behind the layer that makes it and absorbs them."""
    after = 0
    for node in nodes:
        if node.index < after or not _plain(node):
            continue
        followers = _absorbed_in_place(nodes, node)
        if followers:
            after = followers[-1].index + 1
            yield [node, *followers]


def find_through(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """A layer in place, the next one, which was to run in place but got memory of its own (see hazards), and those in
    place on that. Of what is in between nobody else knows.
    """
    for maker, node, second in zip(nodes, nodes[1:], nodes[2:], strict=False):
        if not (_learns_in_place(node) and node.tops[0] is node.bottoms[0] and node.tops[0] in maker.tops):
            continue
        if type(maker.layer).views or not (_learns_in_place(second) and second.bottoms[0] is node.tops[0]):
            continue
        followers = [second, *itertools.takewhile(_learns_in_place, _in_place_behind(nodes, second))]
        count = type(node.layer).absorbs_through(node.layer, [f.layer for f in followers])
        if count and second.tops[0] is not node.tops[0]:
            yield [node, *followers[:count]]


def find_sums(nodes: Sequence[Node]) -> Iterator[Sum]:
    """Layers whose top is one of two blobs that the layer next in line, after those in place, adds up."""
    for maker in nodes:
        if not _plain(maker):
            continue
        before = _in_place_behind(nodes, maker)
        at = maker.index + len(before) + 1
        if at == len(nodes) or not _plain(taker := nodes[at]) or len(taker.bottoms) != 2:
            continue
        others = [blob for blob in taker.bottoms if blob is not maker.tops[0]]
        if len(others) != 1 or taker.tops[0] in taker.bottoms:
            continue
        members = [maker, *before, taker, *_in_place_behind(nodes, taker)]
        count = type(maker.layer).absorbs_beyond(maker.layer, [node.layer for node in members[1:]])
        if count > len(before):
            yield Sum(members[: 1 + count], [maker.tops[0]], taker, others[0])


def find_parts(nodes: Sequence[Node]) -> Iterator[Parts]:
    """Layers next in line to one that puts channels together, whose bottoms they can read one after the other."""
    for node, reader in itertools.pairwise(nodes):
        if not (_plain(node) and _plain(reader) and [*reader.bottoms] == [*node.tops] != [*reader.tops]):
            continue
        if not type(node.layer).joins_channels(node.layer, shapes_of(node.bottoms)):
            continue
        if type(reader.layer).absorbs_parts(reader.layer):
            yield Parts([node, reader, *_absorbed_in_place(nodes, reader)], [node.tops[0]], reader)


def find_lines(nodes: Sequence[Node], is_private: Callable[[Blob, Node], bool]) -> Iterator[Line]:
    """Layers next in line to each other that the first computes with its own, as far as what is between them is private
    to the node that reads it.
    """
    after = 0
    for first in nodes:
        if first.index < after or not _plain(first) or len(first.bottoms) != 1:
            continue
        members = [first]
        for node in nodes[first.index + 1 :]:
            (x,) = members[-1].tops
            in_place = [*node.bottoms] == [*node.tops]
            if not _plain(node) or [*node.bottoms] != [x] or not (in_place or is_private(x, node)):
                break
            members.append(node)
        shapes = shapes_of([*first.bottoms, *(node.tops[0] for node in members)])
        count = type(first.layer).absorbs_line(first.layer, [node.layer for node in members[1:]], shapes)
        del members[1 + count :]
        tops = {id(node.tops[0]): node.tops[0] for node in members}
        if len(tops) > 1:
            after = members[-1].index + 1
            yield Line(members, list(tops.values())[:-1], first)


def _learns_in_place(node: Node) -> bool:
    """Whether it has one blob, by name, as bottom and as top, and both passes."""
    simple = _plain(node) and len(node.bottoms) == 1 and node.in_place[0] and not node.bottom_weights
    return simple and node.need_backward and node.propagate_down[0]


def _absorbed_in_place(nodes: Sequence[Node], maker: Node) -> list[Node]:
    """The layers in place behind it that it absorbs."""
    followers = _in_place_behind(nodes, maker)
    return followers[: type(maker.layer).absorbs(maker.layer, [f.layer for f in followers])] if followers else []


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
