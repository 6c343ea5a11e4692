"""Reuse of memory: blobs of a TEST net that are not needed at the same time live in the same memory.

What shares one storage anyway is one *tenant*: a blob, what in-place layers make of it, views of it. It is needed from
the layer that makes it to the last one that reads it. Tenants go into buffers by size, the largest first, each into the
smallest buffer in which nobody else is needed at the same time. Shapes decide how well that packs and nothing else:
after a reshape a buffer grows to what its largest tenant needs. Layers also share their working memory, by its names.

What another layer may compute on the way, in its own pass, needs no memory (`Absorbed`): a top that is only made to be
added to another blob, to be read once after several were put together in it, or to be read by the next layer in a line.
A sum may be written over the other blob, where nobody reads that any more: it then takes its memory, with the numbers
in it (`Tenant.over`).

Left alone are the net's outputs; the tops of layers without bottoms, where users write and data layers fill in
constants once; and what Python layers touch: they ask for data in reshape, and may count on finding what they left in
their tops.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob, lose_data, regain_data, storages_of
from pycaffe_lite.buffer import Buffer
from pycaffe_lite.graph.absorbed import Absorbed, Line, Sum, find_lines, find_parts, find_sums
from pycaffe_lite.graph.plan import Node


@dataclass(eq=False)
class Tenant:
    """What lives in one storage from layer `first` to layer `last`, and is made by `made`, which is `first` unless
    another layer may compute it earlier.
    """

    blobs: list[Blob]
    first: int
    last: int
    movable: bool
    absorbed: bool = False
    """Whether it may not be written at all."""
    buffer: Buffer | None = None
    over: Tenant | None = None
    """Who is in the same buffer, and needed until this one has been written over it."""
    waiting: tuple[Array | None, int] = (None, 0)
    """The memory and how many arrays of it there are, while others have their turn."""

    def __post_init__(self) -> None:
        self.made = self.first

    @property
    def nbytes(self) -> int:
        return max(blob.nbytes for blob in self.blobs)

    def meets(self, other: Tenant) -> bool:
        """Whether some layer needs both."""
        return self.first <= other.last and other.first <= self.last


class Reuse:
    """Who lives where in a net, and who is at home."""

    def __init__(
        self, tenants: Sequence[Tenant], layers: Sequence[str], nbytes: int, absorbed: Sequence[Absorbed] = ()
    ) -> None:
        self._layers = layers
        self.absorbed = absorbed
        self._moving_in: dict[int, list[Tenant]] = defaultdict(list)
        self._tenant: dict[int, Tenant] = {}
        self._at_home: dict[Buffer, Tenant] = {}
        self.nbytes = nbytes
        """Bytes of data that the net holds as long as shapes stay as they are and nobody asks for more."""
        for tenant in tenants:
            if not tenant.absorbed:
                for index in {tenant.first, tenant.made}:
                    self._moving_in[index].append(tenant)
            self._tenant.update((id(blob), tenant) for blob in tenant.blobs)
            for blob in tenant.blobs:
                blob.share_data(tenant.blobs[0])  # as views do in their first pass
            tenant.blobs[0].keep_data_in(tenant.buffer)
        self._absorbed: dict[int, tuple[Tenant, Absorbed]] = {}
        """By the layer that writes the blob where it is written."""
        for what in absorbed:
            for blob in what.blobs:
                tenant = self._tenant[id(blob)]
                self._absorbed[tenant.made] = tenant, what
        for tenant in tenants:
            why = _without(tenant, self._absorbed[tenant.made][1]) if tenant.absorbed else _not_yet(tenant, layers)
            self._lose(tenant, why)

    def before_layer(self, node: Node) -> None:
        """Give the tops of this node, which may be a chain, their memory; those who lived there lose their numbers."""
        index = node.index
        for tenant in self._moving_in.get(index, ()):
            if index == tenant.made:
                self._part(tenant)
                self._move_in(tenant, index)
            elif node.absorbs and tenant.over is None:  # a layer alone does not make it; _Sum sees to its own
                self._move_in(tenant, index)
        if not node.absorbs:
            self.write(node)

    def begin(self, what: Sum) -> None:
        """Give the sum its memory. Where that is the other blob's, layers still find the other's numbers in it, until
        the `end`.
        """
        if (both := self._written_over(what)) is None:
            return
        tenant, over = both
        others = storages_of(over.blobs)
        is_there = over.buffer is tenant.buffer is not None and self._at_home.get(tenant.buffer) is over
        if not (is_there and all(storage.buffer is over.buffer and storage.unseen for storage in others)):
            self._part(tenant)
            self._move_in(tenant, tenant.first)
            return
        for blob in over.blobs:
            blob.stored("data")  # such arrays may wait
        self._move_in(tenant, tenant.first)
        for storage in others:
            storage.show()
        for storage in storages_of(tenant.blobs):
            storage.lie_with(others[0])

    def end(self, what: Sum) -> None:
        """Let nobody find the other blob's numbers where the sum has been written over them, or was to be."""
        if (both := self._written_over(what)) is not None:
            for storage in storages_of(both[1].blobs):
                storage.hide()

    def part(self, what: Sum) -> bool:
        """Let the sum have memory of its own from now on, and the other blob have its numbers, which are still there;
        whether they had one memory.
        """
        if (both := self._written_over(what)) is None:
            return False
        tenant, over = both
        self._lose(tenant, _not_yet(tenant, self._layers))
        self._part(tenant)
        self._move_in(over, over.made, written=True)
        self._move_in(tenant, tenant.first)
        return True

    def _written_over(self, what: Sum) -> tuple[Tenant, Tenant] | None:
        """The sum, and the other blob, if it is to be written over that."""
        tenant = self._tenant.get(id(what.by.tops[0]))
        return None if tenant is None or tenant.over is None else (tenant, tenant.over)

    def _part(self, tenant: Tenant) -> None:
        """Let it be written over nobody from now on."""
        over, tenant.over = tenant.over, None
        if over is not None and over.buffer is tenant.buffer is not None:
            if self._at_home.get(tenant.buffer) is tenant:
                del self._at_home[tenant.buffer]
            tenant.buffer, tenant.waiting = Buffer(tenant.nbytes), (None, 0)
            tenant.blobs[0].keep_data_in(tenant.buffer)

    def catch_up(self, nodes: Iterable[Node]) -> None:
        """Let those be at home who are when these nodes have run from the first one on: they have already, and written
        into the memory that waits for each.
        """
        last = {}
        for node in nodes:
            for tenant in self._moving_in.get(node.index, ()):
                if tenant.buffer is not None:
                    last[tenant.buffer] = tenant, node.index
        for tenant, index in last.values():
            self._move_in(tenant, index, written=True)

    def _move_in(self, tenant: Tenant, index: int, written: bool = False) -> None:
        same = False
        if (buffer := tenant.buffer) is not None and (other := self._at_home.get(buffer)) is not tenant:
            if other is not None:
                self._lose(other, f"The memory of {_name(other)} has been reused by layer '{self._layers[index]}'")
            self._at_home[buffer] = tenant
            memory, count = tenant.waiting
            same = memory is not None and (buffer.resume(memory, count) or written)
            tenant.waiting = None, 0
        regain_data(tenant.blobs, same)

    def keep(self, blobs: Iterable[Blob]) -> None:
        """Let these blobs have memory of their own from now on."""
        for blob in blobs:
            tenant = self._tenant.get(id(blob))
            if tenant is None or tenant.buffer is None:
                continue
            if self._at_home.get(tenant.buffer) is tenant:
                del self._at_home[tenant.buffer]
                tenant.buffer.give_away()
            tenant.blobs[0].keep_data_in(None)
            tenant.buffer = None

    def may_absorb(self, what: Absorbed) -> bool:
        """Whether nobody has asked for memory for one of the blobs, or for its numbers elsewhere."""
        buffers = [self._tenant[id(blob)].buffer for blob in what.blobs]
        return all(b is not None and blob.keeps_data_in(b) for b, blob in zip(buffers, what.blobs, strict=True))

    def write(self, node: Node) -> None:
        """Give what is absorbed memory where this node is about to write it."""
        if node.index in self._absorbed:
            self._move_in(self._absorbed[node.index][0], node.index)

    def absorb(self, what: Absorbed) -> None:
        """Say that the blobs were not written: memory that they had goes."""
        for blob in what.blobs:
            tenant = self._tenant[id(blob)]
            if (buffer := tenant.buffer) is None:
                continue
            if at_home := self._at_home.get(buffer) is tenant:
                del self._at_home[buffer]
                buffer.give_away()
            if at_home or tenant.waiting[0] is not None:
                tenant.waiting = lose_data(tenant.blobs, _without(tenant, what), keep=False)

    def _lose(self, tenant: Tenant, why: str) -> None:
        tenant.waiting = memory, count = lose_data(tenant.blobs, why)
        if memory is not None and tenant.buffer is not None:
            tenant.buffer.wait(memory, count)


def _name(tenant: Tenant) -> str:
    return f"blob '{tenant.blobs[0].name}'"


def _not_yet(tenant: Tenant, layers: Sequence[str]) -> str:
    return f"There is no memory for {_name(tenant)} before layer '{layers[tenant.made]}' runs"


def _without(tenant: Tenant, what: Absorbed) -> str:
    return f"There are no numbers of {_name(tenant)}, as layer '{what.by.name}' does without them"


def plan_reuse(nodes: Sequence[Node], outputs: Iterable[Blob]) -> Reuse:
    """Find the tenants of a net and give them buffers. `outputs` are shown to the user after each pass."""
    tenants = find_tenants(nodes, outputs)
    home = {id(blob): tenant for tenant in tenants for blob in tenant.blobs}
    absorbed = list(_absorb(nodes, home))
    _write_over(home, absorbed)
    shared = [room for room in assign(t for t in tenants if t.movable and t.buffer is None) if len(room) > 1]
    sharing = [tenant for room in shared for tenant in room] + [t for t in tenants if t.absorbed]
    own = sum(t.nbytes for t in tenants) - sum(t.nbytes for t in sharing)
    nbytes = own + sum(room[0].nbytes for room in shared)
    return Reuse(sharing, [n.name for n in nodes], nbytes, absorbed)


def _absorb(nodes: Sequence[Node], home: Mapping[int, Tenant]) -> Iterator[Absorbed]:
    """What need not be written: such blobs have buffers of their own, two for a line, which take memory when they are
    written all the same. What is read for them is needed until then, and the top in which they end from the first of
    the layers on.
    """
    taken: set[int] = set()

    def is_private(blob: Blob, reader: Node) -> bool:
        """Whether nobody else reads it, or knows it."""
        tenant = home[id(blob)]
        alone = tenant.movable and tenant.last == reader.index and len(tenant.blobs) == 1
        return alone and reader.index not in taken

    for found in itertools.chain(find_sums(nodes), find_parts(nodes), find_lines(nodes, is_private)):
        made, end = [home[id(blob)] for blob in found.blobs], home[id(found.members[-1].tops[0])]
        indices = {node.index for node in found.members}
        if indices & taken or (isinstance(found, Sum) and not end.movable):
            continue
        if not (isinstance(found, Line) or is_private(found.blobs[0], found.by)):
            continue
        taken |= indices
        turns = itertools.cycle((Buffer(), Buffer()))  # of a line's blobs each is read when the next one is written
        for tenant, buffer in zip(made, turns, strict=False):
            tenant.buffer, tenant.absorbed = buffer, True
        end.first = found.members[0].index
        for blob in found.members[0].bottoms:
            home[id(blob)].last = max(home[id(blob)].last, found.by.index)
        yield found


def _write_over(home: Mapping[int, Tenant], absorbed: Iterable[Absorbed]) -> None:
    """Let sums be written over the blob that is added, where neither the layer that writes reads that nor any after."""
    for found in absorbed:
        if not isinstance(found, Sum):
            continue
        over, end = home[id(found.other)], home[id(found.by.tops[0])]
        read = [home[id(blob)] for blob in found.worker.bottoms]
        if over.movable and not over.absorbed and over.last == found.by.index and over not in read:
            end.over = over


def share_scratch(nodes: Sequence[Node]) -> None:
    """Let layers share what working memory they need during a pass only."""
    shared: dict[str, Array] = {}
    for node in nodes:
        if type(node.layer).passing_scratch:
            node.layer._shared_scratch = shared


def find_tenants(nodes: Sequence[Node], outputs: Iterable[Blob]) -> list[Tenant]:
    """The tenants in the order in which they are made."""
    home: dict[int, Tenant] = {}
    found = []
    for node in nodes:
        for blob in (*node.bottoms, *(original for _, original in node.copies)):
            if id(blob) in home:
                home[id(blob)].last = node.index
                home[id(blob)].movable &= node.type != "Python"
        for top in node.tops:
            if id(top) in home:
                continue
            if type(node.layer).views:
                home[id(top)] = home[id(node.bottoms[0])]
                home[id(top)].blobs.append(top)
            else:
                tenant = Tenant([top], node.index, node.index, bool(node.bottoms) and node.type != "Python")
                home[id(top)] = tenant
                found.append(tenant)
    for blob in outputs:
        home[id(blob)].movable = False
    return found


def assign(tenants: Iterable[Tenant]) -> list[list[Tenant]]:
    """Give each a buffer, who is written over another the other's; returns who shares one, the largest first."""
    groups: dict[Tenant, list[Tenant]] = {}
    """By the first of each."""
    of: dict[Tenant, list[Tenant]] = {}
    for tenant in tenants:
        of[tenant] = groups.setdefault(tenant, []) if tenant.over is None else of[tenant.over]
        of[tenant].append(tenant)
    rooms: list[list[Tenant]] = []
    for group in sorted(groups.values(), key=lambda g: -g[0].nbytes):
        room = next((r for r in reversed(rooms) if not any(t.meets(o) for t in group for o in r)), None)
        if room is None:
            room = []
            rooms.append(room)
        room += group
        for tenant in group:
            tenant.buffer = room[0].buffer or Buffer(room[0].nbytes)
    return rooms
