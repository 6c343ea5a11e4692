"""In-place hazards: layers that must not overwrite their bottom, since somebody still needs it.

Caffe runs them in place all the same, and computes wrong gradients without a word.
"""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.graph.plan import Node


def find_hazards(nodes: Sequence[Node], outputs: set[int]) -> list[tuple[Node, int, str]]:
    """The in-place tops that would overwrite what is still needed: (node, top index, why).

    `outputs` are the versions that the net shows to its user. Considers what backward passes will read, other forward
    readers of the same memory, and loss weights, which live in a top's diff.
    """
    memory: dict[int, int] = {}  # version -> a number for the memory its data lives in
    hazards = []
    for node in nodes:
        for j, version in enumerate(node.top_versions):
            if node.in_place[j]:
                why = _hazard(nodes, node, j, memory, outputs)
                if why:
                    hazards.append((node, j, why))
                memory[version] = version if why else memory[node.bottom_versions[j]]
            else:
                memory[version] = memory[node.bottom_versions[0]] if type(node.layer).views else version
    return hazards


def may_run_in_place(node: Node) -> bool:
    """What the layer says of itself; a Python layer's author wrote it knowing where it would stand."""
    return node.type == "Python" or type(node.layer).may_run_in_place(node.layer)


def _hazard(nodes: Sequence[Node], node: Node, j: int, memory: dict[int, int], outputs: set[int]) -> str:
    """Why this in-place top must not be in place; '' when it may. `memory` knows the versions up to here."""
    cls = type(node.layer)
    if not may_run_in_place(node):
        return f"{node.type} cannot run in place with these parameters"
    if node.need_backward and node.loss_weights[j]:
        return "its backward would overwrite its own loss weight"
    place = memory[node.bottom_versions[j]]

    def lives_here(version: int) -> bool:
        return memory.get(version) == place

    above = _in_place_above(nodes, node, j) if cls.keeps_signs else set()
    for other in nodes:
        facts, layer = type(other.layer), other.layer
        if facts.needs_only_signs and other.index in above:
            continue
        if other.index < node.index and other.need_backward:
            if facts.backward_reads_top_data(layer) and any(map(lives_here, other.top_versions)):
                return f"the backward pass of {other.type} '{other.name}' needs its top data"
            if facts.backward_reads_bottom_data(layer) and any(map(lives_here, other.bottom_versions)):
                return f"the backward pass of {other.type} '{other.name}' needs its bottom data"
        if other.index > node.index and any(map(lives_here, other.bottom_versions)):
            return f"{other.type} '{other.name}' reads it later"
    if any(map(lives_here, outputs)):
        return "the net shows it as an output"
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
