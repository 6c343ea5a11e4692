"""Tables: sorted entries in blocks, an index of the blocks, and a footer that says where the index lies.

footer = handle of the meta index (here empty) | handle of the index | zeros up to byte 40 | 8 fixed bytes
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from pycaffe_lite.data.leveldb.block import TRAILER, BlockBuilder, BlockReader, Handle, read_handle
from pycaffe_lite.data.leveldb.coding import corrupt

FOOTER = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
_READ_AHEAD = 256 << 10
BLOCK = 64 << 10
"""The size that Caffe asks LevelDB for."""

Entry = tuple[bytes, int, bytes]
"""Key, negated tag, value: entries compare in LevelDB's order, keys ascending, the newest of a key first."""


def read_table(file: str, size: int) -> Iterator[Entry]:
    """All entries of a table, which has `size` bytes. Raises DataError when it is cut off or corrupt."""
    with open(file, "rb", buffering=_READ_AHEAD) as stream:
        stream.seek(max(0, size - FOOTER))
        footer = stream.read(FOOTER)
        if len(footer) < FOOTER or footer[40:] != _MAGIC:
            raise corrupt(file, "it does not end as a table does")
        blocks = BlockReader(file, stream, size)
        try:
            _, at = read_handle(footer[:40])
            index, _ = read_handle(footer[:40], at)
            handles = [read_handle(value)[0] for _, value in blocks.entries(index)]
        except IndexError as e:
            raise corrupt(file, "it does not say where its blocks are") from e
        for handle in handles:
            for key, value in blocks.entries(handle):
                if len(key) < 8:
                    raise corrupt(file, f"a key in the block at byte {handle.offset} is too short")
                yield key[:-8], -int.from_bytes(key[-8:], "little"), value


def write_table(file: str, entries: Iterable[tuple[bytes, bytes]]) -> int:
    """Write (internal key, value) pairs, which come in order, as a table; returns its size."""
    index, block = BlockBuilder(), BlockBuilder()
    with open(file, "xb") as stream:

        def write(builder: BlockBuilder) -> Handle:
            offset = stream.tell()
            data = builder.finish()
            stream.write(data)
            return Handle(offset, len(data) - TRAILER)

        last = b""
        for key, value in entries:
            if block.size >= BLOCK:
                index.add(last, write(block).packed())
            block.add(key, value)
            last = key
        if block.size:
            index.add(last, write(block).packed())
        handles = write(BlockBuilder()).packed() + write(index).packed()
        stream.write(handles.ljust(40, b"\0") + _MAGIC)
        stream.flush()
        os.fsync(stream.fileno())
        return stream.tell()
