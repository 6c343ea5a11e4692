"""LevelDBReader against databases that LevelDB itself wrote: through plyvel, and one that is kept in the repository."""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.leveldb import LevelDBReader
from pycaffe_lite.data.leveldb.manifest import current_version
from pycaffe_lite.errors import DataError, MissingFileError

BY_LEVELDB = Path(__file__).parent / "by_leveldb"
"""Made by `write_kept` with plyvel 1.5.1 (LevelDB 1.22): two Snappy tables that overlap, and a log."""


@pytest.fixture
def plyvel() -> Any:
    return pytest.importorskip("plyvel", reason="plyvel has no wheels for Python 3.13")


def kept_entries() -> dict[bytes, bytes]:
    entries = {b"%08d" % i: b"entry %d, " % i * 60 for i in range(200)}
    entries |= {b"%08d" % i: b"later %d; " % i * 60 for i in range(0, 200, 3)}
    for i in range(0, 200, 7):
        del entries[b"%08d" % i]
    return entries | {b"%08d" % i: b"last" for i in (21, 50, 300)}


def write_kept(plyvel: Any, path: Path) -> None:
    def opened() -> Any:
        return plyvel.DB(str(path), create_if_missing=True)  # turns the log that there is into a table

    with opened() as db:
        for i in range(200):
            db.put(b"%08d" % i, b"entry %d, " % i * 60)
    with opened() as db:
        for i in range(0, 200, 3):
            db.put(b"%08d" % i, b"later %d; " % i * 60)
    with opened() as db:
        with db.write_batch() as batch:
            for i in range(0, 200, 7):
                batch.delete(b"%08d" % i)
        for i in (21, 50, 300):
            db.put(b"%08d" % i, b"last")


def contents(path: Path) -> dict[bytes, bytes]:
    with LevelDBReader(path) as db:
        keys = list(db.keys())
        assert keys == sorted(keys)
        assert len(db) == len(keys)
        return dict(zip(keys, db, strict=True))


def test_the_kept_one() -> None:
    version = current_version(str(BY_LEVELDB))
    assert len(version.tables) == 2
    assert sum(t.size for t in version.tables.values()) < 20_000  # of 160 kB: compressed
    assert (BY_LEVELDB / f"{version.log:06}.log").stat().st_size > 400
    assert contents(BY_LEVELDB) == kept_entries()


def test_it_is_what_leveldb_reads_and_writes(plyvel: Any, tmp_path: Path) -> None:
    shutil.copytree(BY_LEVELDB, tmp_path / "copy")
    write_kept(plyvel, tmp_path / "new")
    for path in (tmp_path / "copy", tmp_path / "new"):
        db = plyvel.DB(str(path))
        assert dict(db) == kept_entries()
        db.close()
        assert contents(path) == kept_entries()


@pytest.mark.parametrize("compression", [None, "snappy"])
@pytest.mark.parametrize("kind", ["log only", "in order", "overwritten", "compacted", "one large batch"])
def test_what_leveldb_wrote(plyvel: Any, tmp_path: Path, kind: str, compression: str | None) -> None:
    rng = np.random.default_rng(4)
    buffer = 256 << 20 if kind in ("log only", "one large batch") else 1 << 18
    db = plyvel.DB(str(tmp_path), create_if_missing=True, compression=compression, write_buffer_size=buffer)
    entries: dict[bytes, bytes] = {}
    order = range(2000) if kind == "in order" else rng.permutation(2000).tolist()
    batch = db.write_batch()
    for i in order:
        entries[b"%05d_%d" % (i, i % 7)] = rng.bytes(int(rng.integers(0, 3000))) + bytes(int(rng.integers(0, 3000)))
    for key, value in entries.items():
        batch.put(key, value)
        if kind != "one large batch":
            batch.write()
            batch.clear()
    if kind in ("overwritten", "compacted"):
        for i in rng.integers(0, 2000, 700).tolist():
            key = b"%05d_%d" % (i, i % 7)
            if i % 3:
                db.delete(key)
                entries.pop(key, None)
            else:
                entries[key] = rng.bytes(i)
                db.put(key, entries[key])
    batch.write()
    if kind == "compacted":
        db.compact_range()
    db.close()
    tables = current_version(str(tmp_path)).tables
    assert bool(tables) == (buffer == 1 << 18)
    if tables:
        assert len(tables) > 1
        assert sum(t.size for t in tables.values()) > (2 if compression else 4) << 20
    assert contents(tmp_path) == entries
    with LevelDBReader(tmp_path) as reader:
        assert reader.total_entries >= len(entries)
        assert (
            reader.read(len(entries) + 3)[-4:]
            == [v for _, v in sorted(entries.items())][-1:] + [v for _, v in sorted(entries.items())][:3]
        )
        whole = reader.total_entries
    plyvel.DB(str(tmp_path)).close()  # which turns the log into a table
    assert contents(tmp_path) == entries
    with LevelDBReader(tmp_path) as reader:
        assert reader.total_entries == whole


def test_tables_by_their_old_name(copy: Path) -> None:
    for table in copy.glob("*.ldb"):
        table.rename(table.with_suffix(".sst"))
    assert contents(copy) == kept_entries()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(BY_LEVELDB, tmp_path / "db")
    return tmp_path / "db"


def flip(file: Path, at: int, bits: int = 0x41) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= bits
    file.write_bytes(data)


def test_what_is_no_leveldb(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(MissingFileError, match="There is no database"):
        LevelDBReader(tmp_path / "none")
    with pytest.raises(DataError, match="is not a LevelDB database: it is no folder with a CURRENT"):
        LevelDBReader(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"")
    with pytest.raises(DataError, match="is not a LevelDB database: it is an LMDB.*Say 'backend: LMDB'"):
        LevelDBReader(tmp_path)
    next(copy.glob("MANIFEST-*")).unlink()
    with pytest.raises(DataError, match=r"CURRENT' is corrupt: it names 'MANIFEST-\d+', which is missing"):
        LevelDBReader(copy)
    (copy / "CURRENT").write_bytes(b"MANIFEST-../x")
    with pytest.raises(DataError, match="CURRENT' is corrupt: it says"):
        LevelDBReader(copy)


def test_a_table_cut_off_or_missing(copy: Path) -> None:
    table = sorted(copy.glob("*.ldb"))[1]
    size = table.stat().st_size
    for keep in (size - 1, size // 2, 0):
        os.truncate(table, keep)
        with pytest.raises(DataError, match=rf"cut off: {table.name} has {keep} bytes, it should have {size}\. Copy"):
            LevelDBReader(copy)
    table.unlink()
    with pytest.raises(DataError, match=rf"is not complete: table {table.name} is missing\. Copy"):
        LevelDBReader(copy)


def test_a_corrupt_block_is_an_error_from_there_on(copy: Path) -> None:
    table = max(copy.glob("*.ldb"), key=lambda f: f.stat().st_size)
    flip(table, table.stat().st_size // 2)
    with LevelDBReader(copy) as db:
        with pytest.raises(DataError, match=rf"{table.name}' is corrupt: the checksum of the block at byte \d+ is wr"):
            deque(iter(lambda: db.read(1), None))
        assert 0 < db.position < len(kept_entries())
        for _ in range(2):
            with pytest.raises(DataError, match="checksum"):
                db.read(1)
        with pytest.raises(DataError, match="checksum"):
            len(db)
        db.position = 0
        assert db.read(1) == [kept_entries()[b"00000001"]]


@pytest.mark.parametrize("file", ["table", "log", "manifest", "CURRENT"])
def test_no_flipped_bit_goes_unnoticed(copy: Path, file: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each is an error, or a warning of a log that is cut off, or in bytes that say nothing."""
    path = {
        "table": max(copy.glob("*.ldb"), key=lambda f: f.stat().st_size),
        "log": next(copy.glob("*.log")),
        "manifest": next(copy.glob("MANIFEST-*")),
        "CURRENT": copy / "CURRENT",
    }[file]
    size = path.stat().st_size
    expected = kept_entries()
    errors = 0
    places = random.Random(3).sample(range(size), min(size, 120))
    for at in places:
        bits = 1 << at % 8
        flip(path, at, bits)
        caplog.clear()
        try:
            assert contents(copy) == expected or "cut off" in caplog.text
        except DataError:
            errors += 1
        flip(path, at, bits)
    assert contents(copy) == expected
    assert errors > 0.8 * len(places)


def test_a_log_cut_off_keeps_what_was_written_whole(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = next(copy.glob("*.log"))
    whole = log.read_bytes()
    assert len(whole) < 32768
    ends = [0]  # of the records
    while ends[-1] < len(whole):
        ends.append(ends[-1] + 7 + int.from_bytes(whole[ends[-1] + 4 : ends[-1] + 6], "little"))
    assert len(ends) > 4
    for end, after in zip(ends[-4:-1], ends[-3:], strict=True):
        os.truncate(log, 0)
        log.write_bytes(whole[:end])
        caplog.clear()
        expected = contents(copy)
        assert caplog.messages == []
        for keep in (end + 1, end + 6, end + 7, after - 1):
            log.write_bytes(whole[:keep])
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                assert contents(copy) == expected
            assert caplog.messages == [
                f"The last record of '{log}' is cut off after {keep - end} bytes: it is left out, as LevelDB does. "
                "If the file was copied, copy it again."
            ]
    assert expected == {k: v for k, v in kept_entries().items() if k != b"00000300"}


def test_space_set_aside_at_a_logs_end(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a writer that was killed may leave it; zeros before other data are another matter."""
    log = next(copy.glob("*.log"))
    with open(log, "ab") as f:
        f.write(bytes(100_000))
    with caplog.at_level(logging.WARNING):
        assert contents(copy) == kept_entries()
    assert "is cut off after 100000 bytes" in caplog.messages[0]
    with open(log, "ab") as f:
        f.write(b"x")
    with pytest.raises(DataError, match="is corrupt: the checksum of the record|is corrupt: the record at byte"):
        LevelDBReader(copy)


def test_entries_all_deleted(plyvel: Any, tmp_path: Path) -> None:
    db = plyvel.DB(str(tmp_path), create_if_missing=True)
    db.put(b"a", b"1")
    db.delete(b"a")
    db.close()
    with pytest.raises(DataError, match="is empty"):
        LevelDBReader(tmp_path)


def test_another_order_of_keys(plyvel: Any, tmp_path: Path) -> None:
    def compare(a: bytes, b: bytes) -> int:
        return (a < b) - (a > b)

    db = plyvel.DB(str(tmp_path), create_if_missing=True, comparator=compare, comparator_name=b"backwards")
    db.put(b"a", b"1")
    db.close()
    with pytest.raises(DataError, match="keys are in the order of 'backwards'"):
        LevelDBReader(tmp_path)
