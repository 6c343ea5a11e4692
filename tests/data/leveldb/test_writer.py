"""LevelDBWriter's databases, read by LevelDB itself (plyvel) where there is one, and by LevelDBReader."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.leveldb import LevelDBReader, LevelDBWriter
from pycaffe_lite.data.leveldb.manifest import current_version
from pycaffe_lite.errors import DataError, MissingFileError


@pytest.fixture
def plyvel() -> Any:
    return pytest.importorskip("plyvel", reason="plyvel has no wheels for Python 3.13")


@pytest.fixture
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LevelDBWriter, "_batch_bytes", 1 << 18)


def write(path: Path, order: list[int]) -> dict[bytes, bytes]:
    """Values of up to 3 kB under keys of differing length; a key that comes again has another value."""
    rng = np.random.default_rng(8)
    with LevelDBWriter(path) as db:
        entries = {}
        for i in order:
            key = b"%05d_" % i + b"x" * (i % 300)
            entries[key] = rng.bytes(int(rng.integers(0, 3000)))
            db.put(key, entries[key])
    return dict(sorted(entries.items()))


ORDERS = {
    "ascending": list(range(900)),
    "random, some again": np.random.default_rng(9).integers(0, 700, 900).tolist(),
    "descending": list(range(900, 0, -1)),
    "ascending twice": [*range(500), *range(200, 600)],
    "one entry": [4],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
@pytest.mark.usefixtures("small_tables")
def test_read_back(tmp_path: Path, order: list[int]) -> None:
    entries = write(tmp_path / "db", order)
    with LevelDBReader(tmp_path / "db") as db:
        assert dict(zip(db.keys(), db, strict=True)) == entries
        assert db.read(len(entries)) == list(entries.values())
        assert db.total_entries == len(order)


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
@pytest.mark.usefixtures("small_tables")
def test_leveldb_reads_it_and_goes_on(plyvel: Any, tmp_path: Path, order: list[int]) -> None:
    path = tmp_path / "db"
    entries = write(path, order)
    db = plyvel.DB(str(path), paranoid_checks=True)
    assert list(db.iterator(verify_checksums=True)) == list(entries.items())
    assert list(db.iterator(reverse=True, include_value=False)) == list(entries)[::-1]
    for key in itertools.islice(entries, 0, None, 13):
        assert db.get(key) == entries[key]
        assert db.get(key + b"!") is None
    some = next(iter(entries))
    db.put(some, b"changed")
    db.put(b"new", b"entry")
    db.compact_range()
    db.close()
    entries |= {some: b"changed", b"new": b"entry"}
    db = plyvel.DB(str(path), paranoid_checks=True)
    assert dict(db) == entries
    db.close()
    with LevelDBReader(path) as reader:
        assert dict(zip(reader.keys(), reader, strict=True)) == entries


@pytest.mark.usefixtures("small_tables")
def test_tables_in_order_lie_on_the_last_level(tmp_path: Path) -> None:
    write(tmp_path / "a", ORDERS["ascending"])
    levels = [level for level, _ in current_version(str(tmp_path / "a")).tables]
    assert set(levels) == {6}
    assert len(levels) > 3
    write(tmp_path / "b", ORDERS["ascending twice"])
    assert {level for level, _ in current_version(str(tmp_path / "b")).tables} == {0, 6}


def test_any_key_and_any_value(tmp_path: Path) -> None:
    entries = {b"": b"no key", b"\xff" * 1000: b"", b"\0": bytes(3 << 20), b"a": b"1", b"ab": b"2"}
    with LevelDBWriter(tmp_path / "db") as db:
        for key, value in entries.items():
            db.put(key, value)
    with LevelDBReader(tmp_path / "db") as reader:
        assert list(reader.keys()) == sorted(entries)
        assert list(reader) == [v for _, v in sorted(entries.items())]


@pytest.mark.usefixtures("small_tables")
def test_there_is_no_database_before_the_end(tmp_path: Path) -> None:
    with LevelDBWriter(tmp_path / "db") as db:
        for i in range(50):
            db.put(b"%d" % i, bytes(20_000))
        (folder,) = tmp_path.iterdir()
        assert any(name.endswith(".ldb") for name in os.listdir(folder))
        with pytest.raises(MissingFileError):
            LevelDBReader(tmp_path / "db")
        with pytest.raises(DataError, match="no folder with a CURRENT"):
            LevelDBReader(folder)
    with LevelDBReader(tmp_path / "db") as reader:
        assert len(reader) == 50
