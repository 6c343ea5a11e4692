"""Tables with what is wrong although the checksums are right."""

from __future__ import annotations

import struct
from pathlib import Path

import google_crc32c
import pytest

from pycaffe_lite.data.leveldb.coding import internal_key
from pycaffe_lite.data.leveldb.table import read_table, write_table
from pycaffe_lite.errors import DataError


def seal(block: bytes, kind: int) -> bytes:
    crc = google_crc32c.value(block + bytes([kind]))
    return block + bytes([kind]) + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def table(path: Path, block: bytes, kind: int = 0) -> tuple[str, int]:
    """A table of one block, as LevelDB lays it out."""
    data = seal(block, kind)
    index_at = len(data)
    handle = bytes([0, len(block)])
    index = b"\0\3" + bytes([len(handle)]) + b"abc" + handle + struct.pack("<II", 0, 1)
    footer = bytes([0, 0, index_at, len(index)])
    data += seal(index, 0) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    path.write_bytes(data)
    return str(path), len(data)


ENTRY = b"\0\x09\2" + b"k" + struct.pack("<Q", 7 << 8 | 1) + b"vv"
NEXT = b"\1\x0a\1" + b"ey" + struct.pack("<Q", 6 << 8) + b"w"
END = struct.pack("<II", 0, 1)


def test_entries_share_the_beginning_of_their_keys(tmp_path: Path) -> None:
    found = list(read_table(*table(tmp_path / "t", ENTRY + NEXT + END)))
    assert found == [(b"k", -(7 << 8 | 1), b"vv"), (b"key", -(6 << 8), b"w")]


def test_snappy(tmp_path: Path) -> None:
    block = ENTRY + END
    literal = bytes([len(block), len(block) - 1 << 2]) + block
    assert list(read_table(*table(tmp_path / "t", literal, 1))) == [(b"k", -(7 << 8 | 1), b"vv")]


@pytest.mark.parametrize(
    ("block", "kind", "says"),
    [
        (ENTRY + END, 2, r"compressed in an unknown way \(2\)"),
        (b"\x05\x00", 1, "cannot be uncompressed"),
        (ENTRY[:-1] + END, 0, "do not end where they should"),
        (ENTRY + b"\0" + END, 0, "do not end where they should"),
        (ENTRY + struct.pack("<II", 0, 100), 0, "do not end where they should"),
        (b"", 0, "do not end where they should"),
        (b"\0\1\1kv" + END, 0, "a key in the block at byte 0 is too short"),
    ],
)
def test_blocks_that_are_not_right(tmp_path: Path, block: bytes, kind: int, says: str) -> None:
    with pytest.raises(DataError, match=f"t' is corrupt: .*{says}"):
        list(read_table(*table(tmp_path / "t", block, kind)))


def test_an_end_that_is_not_a_tables(tmp_path: Path) -> None:
    file, size = table(tmp_path / "t", ENTRY + END)
    whole = Path(file).read_bytes()
    for wrong in (whole[:-1] + b"x", whole[:40], b""):
        Path(file).write_bytes(wrong)
        with pytest.raises(DataError, match="does not end as a table does"):
            list(read_table(file, size))
    Path(file).write_bytes(whole[:-48] + b"\xff" * 40 + whole[-8:])
    with pytest.raises(DataError, match="does not say where its blocks are"):
        list(read_table(file, size))
    huge = b"\xff" * 9 + b"\1"
    for handle in (bytes([50, 0xFF, 1]), b"\0" + huge, huge + b"\0", huge + huge):
        Path(file).write_bytes(whole[:-48] + (b"\0\0" + handle).ljust(40, b"\0") + whole[-8:])
        with pytest.raises(DataError, match=r"it ends before the block at byte \d+ does"):
            list(read_table(file, size))


@pytest.mark.parametrize("value", [b"", b"x" * 127, b"x" * 128, b"x" * 16383, b"x" * 16384, b"x" * (1 << 21)])
def test_values_of_any_length(tmp_path: Path, value: bytes) -> None:
    rows = [(internal_key(b"k%03d" % i * 60, i << 8 | 1), value + b"%d" % i) for i in range(40)]
    size = write_table(str(tmp_path / "t"), rows)
    assert size == (tmp_path / "t").stat().st_size
    assert list(read_table(str(tmp_path / "t"), size)) == [
        (key[:-8], -(i << 8 | 1), v) for i, (key, v) in enumerate(rows)
    ]
