"""A table's blocks: entries whose keys share their beginning with the key before, then offsets that LevelDB seeks by.

    block = entries | offsets of keys written out: 4 bytes each | their number: 4
    entry = bytes shared with the key before | further bytes of the key | bytes of the value | those two
On disk a byte that says how it is compressed and a masked CRC-32C follow.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from pycaffe_lite._extras import require
from pycaffe_lite.data.leveldb.coding import checksum, corrupt, read_varint, varint

RESTART_INTERVAL = 16
TRAILER = 5
_PLAIN, _SNAPPY = 0, 1


class Handle(NamedTuple):
    """Where a block lies in its file: its first byte, and its size without the trailer."""

    offset: int
    size: int

    def packed(self) -> bytes:
        return varint(self.offset) + varint(self.size)


def read_handle(data: bytes, position: int = 0) -> tuple[Handle, int]:
    """A block's handle, and the position behind it. IndexError where data end."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return Handle(offset, size), position


class BlockReader:
    """Reads blocks from an open file; raises DataError when one is cut off or corrupt."""

    def __init__(self, file: str, stream: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._stream = stream
        self._masked = checksum()
        cramjam = require("cramjam", "read a LevelDB database")
        self._uncompress: Callable[[memoryview], bytes] = cramjam.snappy.decompress_raw
        self._uncompress_error: type[Exception] = cramjam.DecompressionError

    def entries(self, handle: Handle) -> Iterator[tuple[bytes, bytes]]:
        """The (key, value) pairs of a block."""
        block = self._block(handle)
        end = len(block) - 4
        if end >= 0:
            end -= 4 * int(struct.unpack_from("<I", block, end)[0])
        at, key = 0, b""
        try:
            while at < end:
                shared, more = block[at], block[at + 1]
                if (shared | more) < 0x80:
                    at += 2
                else:
                    shared, at = read_varint(block, at)
                    more, at = read_varint(block, at)
                if block[at + 1] < 0x80 <= block[at]:  # most often: a small image's length takes two bytes
                    length = block[at] & 0x7F | block[at + 1] << 7
                    at += 2
                else:
                    length, at = read_varint(block, at)
                value_at = at + more
                key = key[:shared] + block[at:value_at]
                at = value_at + length
                if at > end:
                    break
                yield key, block[value_at:at]
        except IndexError:
            at = -1
        if at != end:
            raise corrupt(self._file, f"the entries of the block at byte {handle.offset} do not end where they should")

    def _block(self, handle: Handle) -> bytes:
        if handle.offset + handle.size + TRAILER > self._size:
            raise corrupt(self._file, f"it ends before the block at byte {handle.offset} does")
        self._stream.seek(handle.offset)
        stored = self._stream.read(handle.size + TRAILER)
        if len(stored) < handle.size + TRAILER or self._masked(stored[:-4]) != int.from_bytes(stored[-4:], "little"):
            raise corrupt(self._file, f"the checksum of the block at byte {handle.offset} is wrong")
        kind = stored[handle.size]
        if kind == _PLAIN:
            return stored[:-TRAILER]
        if kind != _SNAPPY:
            raise corrupt(self._file, f"the block at byte {handle.offset} is compressed in an unknown way ({kind})")
        try:
            return bytes(self._uncompress(memoryview(stored)[:-TRAILER]))
        except self._uncompress_error as e:
            raise corrupt(self._file, f"the block at byte {handle.offset} cannot be uncompressed: {e}") from e


class BlockBuilder:
    """Collects entries in the order of their keys; `size` is that of the block so far."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._parts: list[bytes] = []
        self._restarts: list[int] = []
        self._count = 0
        self.size = 0

    def add(self, key: bytes, value: bytes) -> None:
        if self._count % RESTART_INTERVAL == 0:
            self._restarts.append(self.size)
        head = b"\0" + varint(len(key)) + varint(len(value)) + key  # sharing would save little beside images
        self._parts += (head, value)
        self.size += len(head) + len(value)
        self._count += 1

    def finish(self) -> bytes:
        """The block as it is written, with its trailer; the builder is empty again."""
        restarts = self._restarts or [0]
        self._parts.append(struct.pack(f"<{len(restarts) + 1}IB", *restarts, len(restarts), _PLAIN))
        block = b"".join(self._parts)
        self.clear()
        return block + checksum()(block).to_bytes(4, "little")
