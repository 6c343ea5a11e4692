"""Logs with what is wrong inside a record whose checksum is right, which no flipped bit shows."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import google_crc32c
import pytest

from pycaffe_lite.data.leveldb import LevelDBReader
from pycaffe_lite.data.leveldb.log import append_record, read_records
from pycaffe_lite.errors import DataError

BY_LEVELDB = Path(__file__).parent / "by_leveldb"


def fragment(kind: int, data: bytes) -> bytes:
    crc = google_crc32c.value(bytes([kind]) + data)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    return struct.pack("<IHB", masked, len(data), kind) + data


@pytest.mark.parametrize("first", [0, 5, 32741, 32748, 32749, 32750, 32754, 32755, 32761, 32768, 100_000])
def test_records_of_any_length_anywhere_in_a_block(tmp_path: Path, first: int) -> None:
    records = [bytes(first), b"second", b"", bytes(range(256)) * 300, b"last"]
    with open(tmp_path / "log", "xb") as stream:
        for record in records:
            append_record(stream, record)
    assert list(read_records(str(tmp_path / "log"))) == records


def test_fragments_are_put_together(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(fragment(2, b"a") + fragment(3, b"b") + fragment(4, b"c") + fragment(1, b"d"))
    assert list(read_records(str(tmp_path / "log"))) == [b"abc", b"d"]


@pytest.mark.parametrize("kinds", [(3,), (4,), (1, 4), (2, 1), (2, 2), (2, 3, 1), (5,)])
def test_fragments_that_do_not_follow_each_other(tmp_path: Path, kinds: tuple[int, ...]) -> None:
    (tmp_path / "log").write_bytes(b"".join(fragment(k, b"a") for k in kinds))
    with pytest.raises(DataError, match="the record at byte .* does not follow"):
        list(read_records(str(tmp_path / "log")))


def test_a_record_longer_than_its_block(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(fragment(1, bytes(30_000)) + fragment(1, bytes(5_000)))
    with pytest.raises(DataError, match="the record at byte 30007 is longer than its block"):
        list(read_records(str(tmp_path / "log")))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(BY_LEVELDB, tmp_path / "db")
    return tmp_path / "db"


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        (struct.pack("<QI", 900, 1) + b"\1\1a\1", "not as long as it says"),
        (struct.pack("<QI", 900, 1) + b"\1\xff", "not as long as it says"),
        (struct.pack("<QI", 900, 2) + b"\1\1a\1b", "not as long as it says"),
        (struct.pack("<QI", 900, 1) + b"\1\1a\1b\0", "1 bytes are left over"),
        (b"short", "not as long as it says"),
        (struct.pack("<QI", 900, 1) + b"\2\1a", "kind 2, neither put nor deleted"),
    ],
)
def test_a_batch_that_is_not_one(copy: Path, batch: bytes, says: str) -> None:
    (copy / "000099.log").write_bytes(fragment(1, batch))
    with pytest.raises(DataError, match=rf"000099\.log' is corrupt: .*{says}.*Copy it again"):
        LevelDBReader(copy)


def test_logs_count_in_the_order_of_their_numbers(copy: Path) -> None:
    for number, value in ((0, b"too old"), (98, b"older"), (100, b"newest"), (99, b"newer")):
        (copy / f"{number:06}.log").write_bytes(
            fragment(1, struct.pack("<QI", 900 + number, 1) + b"\1\4aaaa" + bytes([len(value)]) + value)
        )
    with LevelDBReader(copy) as db:
        assert list(db)[-1] == b"newest"
        assert db.total_entries == 1000


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (b"\x07\0\5", "an edit ends too early"),
        (b"\x02\xff", "an edit ends too early"),
        (b"\xc8\1\3abc", "field 200, which LevelDB does not write"),
        (b"\1\5other", "in the order of 'other'"),
    ],
)
def test_an_edit_that_cannot_be(copy: Path, edit: bytes, says: str) -> None:
    manifest = next(copy.glob("MANIFEST-*"))
    manifest.write_bytes(manifest.read_bytes() + fragment(1, edit))
    with pytest.raises(DataError, match=says):
        LevelDBReader(copy)


def test_an_empty_manifest(copy: Path) -> None:
    next(copy.glob("MANIFEST-*")).write_bytes(b"")
    with pytest.raises(DataError, match="is corrupt: it holds no edits"):
        LevelDBReader(copy)
