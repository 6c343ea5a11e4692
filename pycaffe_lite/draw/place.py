"""Where on its rank each vertex stands: chains straight, parents over the middle of their children.

Four layouts, aligned to medians from above or below and packed from the left or the right, are averaged (Brandes and
Köpf, Fast and simple horizontal coordinate assignment, 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pycaffe_lite.draw.order import Layered, topological

Conflicts = set[tuple[int, int]]


def places(layered: Layered, sizes: Sequence[float], gap: float) -> list[float]:
    """The middle of each vertex along its rank; neighbours, of these sizes, stand at least `gap` apart."""
    conflicts = _conflicts(layered)
    found = []
    for upward in (False, True):
        ranks = layered.ranks[::-1] if upward else layered.ranks
        neighbours = layered.below if upward else layered.above
        for mirrored in (False, True):
            ordered = [rank[::-1] for rank in ranks] if mirrored else ranks
            root = _align(ordered, neighbours, conflicts)
            xs = _pack(ordered, root, sizes, gap)
            found.append([-x for x in xs] if mirrored else xs)
    xs = _straightened(layered, _average(found, sizes))
    low = min((x - s / 2 for x, s in zip(xs, sizes, strict=True)), default=0.0)
    return [x - low for x in xs]


def _straightened(layered: Layered, xs: list[float]) -> list[float]:
    """The same with all vertices that have a rank to themselves in one line.

    What lies between two of them goes along, with the one that has more straight edges to it, or half way.
    """
    alone = [i for i, rank in enumerate(layered.ranks) if len(rank) == 1]
    straight = list(xs)
    for first, last in zip([-1, *alone], [*alone, len(layered.ranks)], strict=True):
        ends = [layered.ranks[i][0] for i in (first, last) if 0 <= i < len(layered.ranks)]
        if not ends:
            return xs
        lines = [sum(xs[w] == xs[v] for w in layered.above[v] + layered.below[v]) for v in ends]
        best = [xs[v] for v, n in zip(ends, lines, strict=True) if n == max(lines)]
        shift = sum(best) / len(best)
        for v in ends:
            straight[v] = 0.0
        for rank in layered.ranks[first + 1 : last]:
            for v in rank:
                straight[v] = xs[v] - shift
    return straight


def _positions(ranks: Sequence[Sequence[int]], count: int) -> list[int]:
    position = [0] * count
    for rank in ranks:
        for i, v in enumerate(rank):
            position[v] = i
    return position


def _conflicts(layered: Layered) -> Conflicts:
    """Edges that cross a bend-to-bend one: they give way to it."""
    position, real = _positions(layered.ranks, len(layered.above)), layered.real
    found: Conflicts = set()
    for rank in layered.ranks[1:]:
        low = scanned = 0
        for i, v in enumerate(rank):
            straight = next((u for u in layered.above[v] if u >= real), None) if v >= real else None
            if straight is None and i + 1 < len(rank):
                continue
            high = position[straight] if straight is not None else len(layered.above)
            for w in rank[scanned : i + 1]:
                for u in layered.above[w]:
                    if not low <= position[u] <= high and not (u >= real and w >= real):
                        found |= {(u, w), (w, u)}
            scanned, low = i + 1, high
    return found


def _align(ranks: Sequence[Sequence[int]], neighbours: list[list[int]], conflicts: Conflicts) -> list[int]:
    """For each vertex the first of its block: those that will stand in one straight line."""
    count = len(neighbours)
    position = _positions(ranks, count)
    root, taken = list(range(count)), [False] * count
    for rank in ranks:
        last = -1
        for v in rank:
            near = sorted(neighbours[v], key=position.__getitem__)
            for i in sorted({(len(near) - 1) // 2, len(near) // 2}) if near else ():
                u = near[i]
                if root[v] == v and not taken[u] and last < position[u] and (u, v) not in conflicts:
                    root[v], taken[u], last = root[u], True, position[u]
    return root


def _pack(ranks: Sequence[Sequence[int]], root: list[int], sizes: Sequence[float], gap: float) -> list[float]:
    """Each block as far to the start as others allow, then back towards those that follow it."""
    before: dict[int, dict[int, float]] = {r: {} for r in root}
    after: dict[int, dict[int, float]] = {r: {} for r in root}
    for rank in ranks:
        for u, v in pairwise(rank):
            apart = max((sizes[u] + sizes[v]) / 2 + gap, before[root[v]].get(root[u], 0.0))
            before[root[v]][root[u]] = after[root[u]][root[v]] = apart
    order = topological(before, after)
    x: dict[int, float] = {}
    for r in order:
        x[r] = max((x[p] + apart for p, apart in before[r].items()), default=0.0)
    for r in reversed(order):
        if after[r]:
            x[r] = max(x[r], min(x[s] - apart for s, apart in after[r].items()))
    return [x[r] for r in root]


def _average(found: Sequence[list[float]], sizes: Sequence[float]) -> list[float]:
    """The mean of the two middle ones of the four, aligned to the narrowest."""
    ends = [
        (
            min((x - s / 2 for x, s in zip(xs, sizes, strict=True)), default=0.0),
            max((x + s / 2 for x, s in zip(xs, sizes, strict=True)), default=0.0),
        )
        for xs in found
    ]
    low, high = min(ends, key=lambda e: e[1] - e[0])
    shifted = []
    for i, (xs, (start, end)) in enumerate(zip(found, ends, strict=True)):
        shift = high - end if i % 2 else low - start  # every second was packed from the other side
        shifted.append([x + shift for x in xs])
    return [sum(sorted(four)[1:3]) / 2 for four in zip(*shifted, strict=True)]
