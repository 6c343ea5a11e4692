"""Which rank each vertex stands on, and in which order: few long edges, few crossings.

Edges lead from a rank to the next: one that is longer passes a bend, a vertex of its own, on each rank between.
Ranks are longest paths from the sources; crossings are reduced by sweeps of medians, and by swapping neighbours
(Gansner et al., A technique for drawing directed graphs, 1993).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from itertools import pairwise

_SWEEPS = 12


@dataclass
class Layered:
    """Vertices 0 to n - 1 are the graph's, further ones bends."""

    ranks: list[list[int]]
    """The vertices of each rank, in order."""
    above: list[list[int]]
    """For each vertex, its neighbours on the rank before."""
    below: list[list[int]]
    real: int
    """n."""
    chains: list[list[int]] = field(default_factory=list)
    """For each edge, the vertices that it passes, its two ends included."""


def arrange(count: int, edges: Sequence[tuple[int, int]]) -> Layered:
    """The ranks of a graph of `count` vertices without cycles, all sorted."""
    layered = _with_bends(count, edges, _rank(count, edges))
    _reduce_crossings(layered)
    return layered


def _rank(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        above[target].append(source)
        below[source].append(target)
    order = topological(dict(enumerate(above)), dict(enumerate(below)))
    rank = [0] * count
    for v in order:
        rank[v] = max((rank[u] + 1 for u in above[v]), default=0)
    for v in reversed(order):  # what has more readers than sources moves down to them
        if len(below[v]) > len(above[v]):
            rank[v] = min(rank[w] for w in below[v]) - 1
    return rank


def topological(before: Mapping[int, Sized], after: Mapping[int, Iterable[int]]) -> list[int]:
    """The vertices in an order in which all that are before one come before it."""
    waiting = {v: len(b) for v, b in before.items()}
    order = [v for v, n in waiting.items() if not n]
    for v in order:
        for w in after[v]:
            waiting[w] -= 1
            if not waiting[w]:
                order.append(w)
    return order


def _with_bends(count: int, edges: Sequence[tuple[int, int]], rank: list[int]) -> Layered:
    ranks: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for v in range(count):
        ranks[rank[v]].append(v)
    layered = Layered(ranks, [[] for _ in range(count)], [[] for _ in range(count)], count)
    for source, target in edges:
        chain = [source]
        for r in range(rank[source] + 1, rank[target]):
            chain.append(len(layered.above))
            ranks[r].append(chain[-1])
            layered.above.append([])
            layered.below.append([])
        chain.append(target)
        for u, v in pairwise(chain):
            layered.below[u].append(v)
            layered.above[v].append(u)
        layered.chains.append(chain)
    return layered


def _reduce_crossings(layered: Layered) -> None:
    ranks = layered.ranks
    position = [0] * len(layered.above)
    _note(ranks, position)
    best, fewest = [list(r) for r in ranks], _all_crossings(layered, position)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        neighbours = layered.above if down else layered.below
        for rank in ranks[1:] if down else reversed(ranks[:-1]):
            _sort_by_median(rank, neighbours, position)
        _swap_neighbours(layered, position)
        crossings = _all_crossings(layered, position)
        if crossings < fewest:
            best, fewest = [list(r) for r in ranks], crossings
    layered.ranks = best


def _note(ranks: list[list[int]], position: list[int]) -> None:
    for rank in ranks:
        for i, v in enumerate(rank):
            position[v] = i


def _sort_by_median(rank: list[int], neighbours: list[list[int]], position: list[int]) -> None:
    """Sort a rank by the median place of neighbours; who has none stays where it is."""
    fixed = {i: v for i, v in enumerate(rank) if not neighbours[v]}
    movable = sorted((v for v in rank if neighbours[v]), key=lambda v: (_median(v, neighbours, position), position[v]))
    rest = iter(movable)
    rank[:] = [fixed[i] if i in fixed else next(rest) for i in range(len(rank))]
    _note([rank], position)


def _median(v: int, neighbours: list[list[int]], position: list[int]) -> float:
    places = sorted(position[u] for u in neighbours[v])
    return (places[(len(places) - 1) // 2] + places[len(places) // 2]) / 2


def _swap_neighbours(layered: Layered, position: list[int]) -> None:
    for rank in layered.ranks:
        improved = True
        while improved:
            improved = False
            for i in range(len(rank) - 1):
                u, v = rank[i], rank[i + 1]
                sides = (layered.above, layered.below)
                now = sum(_pair_crossings(side[u], side[v], position) for side in sides)
                then = sum(_pair_crossings(side[v], side[u], position) for side in sides)
                if then < now:
                    rank[i], rank[i + 1] = v, u
                    position[u], position[v] = i + 1, i
                    improved = True


def _pair_crossings(left: list[int], right: list[int], position: list[int]) -> int:
    return sum(position[a] > position[b] for a in left for b in right)


def _all_crossings(layered: Layered, position: list[int]) -> int:
    total = 0
    for rank in layered.ranks:
        seen: list[int] = []
        for v in rank:
            places = sorted(position[w] for w in layered.below[v])
            total += sum(len(seen) - bisect_right(seen, place) for place in places)
            for place in places:
                insort(seen, place)
    return total
