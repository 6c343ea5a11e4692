"""In-place hazards: layers that must not overwrite their bottom, since somebody still needs it.

Caffe runs them in place all the same, and computes wrong gradients without a word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pycaffe_lite.graph.plan import Node


def find_hazards(nodes: Sequence[Node], outputs: Collection[int]) -> list[tuple[Node, int, str]]:
    """The in-place tops that would overwrite what is still needed: (node, top index, why).

    `outputs` are the versions that the net shows to its user. Considers what backward passes will read, other forward
    readers of the same memory, and loss weights, which live in a top's diff.
    """
    reader = {v: node for node in nodes for v in node.bottom_versions}  # one each: Split layers see to that
    memory = _Memory()
    hazards = []
    for node in nodes:
        for j, version in enumerate(node.top_versions):
            home = version
            if node.in_place[j]:
                why = _hazard(nodes, node, j, memory, reader, outputs)
                if why:
                    hazards.append((node, j, why))
                else:
                    home = memory.home[node.bottom_versions[j]]
            elif type(node.layer).views:
                home = memory.home[node.bottom_versions[0]]
            memory.home[version] = home
            memory.versions[home].append(version)
        if node.need_backward:
            memory.note_needs(node)
    return hazards


def may_run_in_place(node: Node) -> bool:
    """What the layer says of itself; a Python layer's author wrote it knowing where it would stand."""
    facts = type(node.layer)
    if facts.in_place_without_backward and not node.need_backward:
        return True
    return node.type == "Python" or facts.may_run_in_place(node.layer)


@dataclass
class _Memory:
    """Which memory each version lives in, called by the first version that did, and what is needed there."""

    home: dict[int, int] = field(default_factory=dict)
    versions: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    needs: dict[int, list[tuple[Node, str]]] = field(default_factory=lambda: defaultdict(list))
    """Whose backward pass reads its "top" or "bottom" data there."""

    def note_needs(self, node: Node) -> None:
        facts = type(node.layer)
        for reads, what, versions in (
            (facts.backward_reads_top_data, "top", node.top_versions),
            (facts.backward_reads_bottom_data, "bottom", node.bottom_versions),
        ):
            if reads(node.layer):
                for version in versions:
                    self.needs[self.home[version]].append((node, what))


def _hazard(
    nodes: Sequence[Node], node: Node, j: int, memory: _Memory, reader: dict[int, Node], outputs: Collection[int]
) -> str:
    """Why this in-place top must not be in place; '' when it may. `memory` knows the versions up to here."""
    cls = type(node.layer)
    if not may_run_in_place(node):
        return f"{node.type} cannot run in place with these parameters"
    if node.need_backward and node.loss_weights[j]:
        return "its backward would overwrite its own loss weight"
    home = memory.home[node.bottom_versions[j]]
    if any(memory.home[v] == home for i, v in enumerate(node.bottom_versions) if i != j):
        return "another bottom of it is the same memory"
    above = _in_place_above(nodes, node, j) if cls.keeps_signs else set()
    for other, what in memory.needs[home]:
        if not (type(other.layer).needs_only_signs and other.index in above):
            return f"the backward pass of {other.type} '{other.name}' needs its {what} data"
    for version in memory.versions[home]:
        if version in outputs:
            return "the net shows it as an output"
        other = reader.get(version, node)
        if other.index > node.index:
            return f"{other.type} '{other.name}' reads it later"
    return ""


def _in_place_above(nodes: Sequence[Node], node: Node, j: int) -> set[int]:
    """The layers that run in place one after the other and end at this one: all their gradients come through it."""
    found, version = set(), node.bottom_versions[j]
    for other in reversed(nodes[: node.index]):
        if version in other.top_versions:
            k = other.top_versions.index(version)
            if not other.in_place[k]:
                break
            found.add(other.index)
            version = other.bottom_versions[k]
    return found
