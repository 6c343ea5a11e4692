"""Tables and logs as one sequence of entries."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from pycaffe_lite.data.leveldb.coding import VALUE
from pycaffe_lite.data.leveldb.manifest import TableFile
from pycaffe_lite.data.leveldb.table import Entry


def runs(tables: Iterable[TableFile]) -> list[list[TableFile]]:
    """The tables in as few sequences as possible, such that in each the keys of one table follow those of the last.

    A run is read table by table, so that only as many files are open at a time as there are runs; a database that was
    written in order is one run, whatever levels its tables are on.
    """
    ends: list[tuple[bytes, int]] = []  # a heap of each run's last key and its index
    found: list[list[TableFile]] = []
    for table in sorted(tables, key=lambda t: t.smallest[:-8]):
        if ends and ends[0][0] < table.smallest[:-8]:
            run = heapq.heappop(ends)[1]
        else:
            run = len(found)
            found.append([])
        found[run].append(table)
        heapq.heappush(ends, (table.largest[:-8], run))
    return found


def newest(sources: list[Iterator[Entry]]) -> Iterator[tuple[bytes, bytes]]:
    """Each key's newest value, keys in order; keys deleted last are left out."""
    merged = sources[0] if len(sources) == 1 else heapq.merge(*sources)
    last = None
    for key, negated_tag, value in merged:
        if key != last:
            last = key
            if -negated_tag & 0xFF == VALUE:
                yield key, value
