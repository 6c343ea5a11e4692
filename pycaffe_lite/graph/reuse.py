"""Reuse of memory: blobs of a TEST net that are not needed at the same time live in the same memory.

What shares one storage anyway is one *tenant*: a blob, what in-place layers make of it, views of it. It is needed from
the layer that makes it to the last one that reads it. Tenants go into buffers by size, the largest first, each into the
smallest buffer in which nobody else is needed at the same time. Shapes decide how well that packs and nothing else:
after a reshape a buffer grows to what its largest tenant needs. Layers also share their working memory, by its names.

What another layer may compute on the way, in its own pass, needs no memory (`Absorbed`): a top that is only made to be
added to another blob, or to be read once after several were put together in it.

Left alone are the net's outputs; the tops of layers without bottoms, where users write and data layers fill in
constants once; and what Python layers touch: they ask for data in reshape, and may count on finding what they left in
their tops.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob, lose_data, regain_data
from pycaffe_lite.buffer import Buffer
from pycaffe_lite.graph.absorbed import Absorbed, Parts, find_parts, find_sums
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
        self._absorbed = {self._tenant[id(what.blob)].made: what for what in absorbed}
        """By the layer that writes the blob where it is written."""
        for tenant in tenants:
            not_yet = f"has no memory before layer '{layers[tenant.made]}' runs"
            self._lose(tenant, _without(self._absorbed[tenant.made]) if tenant.absorbed else not_yet)

    def before_layer(self, node: Node) -> None:
        """Give the tops of this node, which may be a chain, their memory; those who lived there lose their numbers."""
        index = node.index
        for tenant in self._moving_in.get(index, ()):
            self._move_in(tenant, index)
        if index in self._absorbed and not node.absorbs:
            self.write(self._absorbed[index])

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
                self._lose(other, f"has been reused by layer '{self._layers[index]}'")
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
        """Whether nobody has asked for memory for the blob, or for its numbers elsewhere."""
        buffer = self._tenant[id(what.blob)].buffer
        return buffer is not None and what.blob.keeps_data_in(buffer)

    def write(self, what: Absorbed) -> None:
        """Give the blob memory, as it is about to be written."""
        tenant = self._tenant[id(what.blob)]
        self._move_in(tenant, tenant.made)

    def absorb(self, what: Absorbed) -> None:
        """Say that the blob was not written."""
        tenant = self._tenant[id(what.blob)]
        if tenant.buffer is not None and self._at_home.pop(tenant.buffer, None) is not None:
            tenant.buffer.give_away()
            self._lose(tenant, _without(what))

    def _lose(self, tenant: Tenant, what: str) -> None:
        tenant.waiting = memory, count = lose_data(tenant.blobs, f"The memory of blob '{tenant.blobs[0].name}' {what}")
        if memory is not None and tenant.buffer is not None:
            tenant.buffer.wait(memory, count)


def _without(what: Absorbed) -> str:
    return f"was not taken, as layer '{what.by.name}' does without it"


def plan_reuse(nodes: Sequence[Node], outputs: Iterable[Blob]) -> Reuse:
    """Find the tenants of a net and give them buffers. `outputs` are shown to the user after each pass."""
    tenants = find_tenants(nodes, outputs)
    absorbed = list(_absorb(nodes, tenants))
    shared = [room for room in assign(t for t in tenants if t.movable and t.buffer is None) if len(room) > 1]
    sharing = [tenant for room in shared for tenant in room] + [t for t in tenants if t.absorbed]
    own = sum(t.nbytes for t in tenants) - sum(t.nbytes for t in sharing)
    nbytes = own + sum(room[0].nbytes for room in shared)
    return Reuse(sharing, [n.name for n in nodes], nbytes, absorbed)


def _absorb(nodes: Sequence[Node], tenants: Sequence[Tenant]) -> Iterator[Absorbed]:
    """What need not be written: each such blob has a buffer for itself, which takes memory when it is written all the
    same. What is read for it is needed until then, and the top in which it ends from the first of the layers on.
    """
    home = {id(blob): tenant for tenant in tenants for blob in tenant.blobs}
    taken: set[int] = set()
    for found in (*find_sums(nodes), *find_parts(nodes)):
        tenant, end = home[id(found.blob)], home[id(found.by.tops[0])]
        indices = {node.index for node in found.members}
        if not (tenant.movable and tenant.last == found.by.index and len(tenant.blobs) == 1) or indices & taken:
            continue
        if not (end.movable or isinstance(found, Parts)):
            continue
        taken |= indices
        tenant.buffer, tenant.absorbed = Buffer(), True
        end.first = found.members[0].index
        for blob in found.members[0].bottoms:
            home[id(blob)].last = max(home[id(blob)].last, found.by.index)
        yield found


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
    """Give each a buffer; returns who shares one, the largest first."""
    rooms: list[list[Tenant]] = []
    for tenant in sorted(tenants, key=lambda t: -t.nbytes):
        room = next((r for r in reversed(rooms) if not any(map(tenant.meets, r))), None)
        if room is None:
            tenant.buffer = Buffer(tenant.nbytes)
            rooms.append([tenant])
        else:
            tenant.buffer = room[0].buffer
            room.append(tenant)
    return rooms
