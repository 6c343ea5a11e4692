"""What readers and writers of databases promise, whatever the kind."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.database import BACKENDS, new_database, open_database
from pycaffe_lite.errors import DataError, MissingFileError


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def write(backend: str, path: Path, n: int = 7, size: int = 3) -> Path:
    """Write n entries in another order than their keys'."""
    with new_database(path, backend) as db:
        for i in np.random.default_rng(0).permutation(n):
            db.put(b"%08d" % i, value(i, size))
    return path


def value(i: int, size: int = 3) -> bytes:
    return (b"v%d " % i) * size


def test_values_come_in_key_order(backend: str, tmp_path: Path) -> None:
    with open_database(write(backend, tmp_path / "db", 2503)) as db:
        assert len(db) == 2503
        assert list(db) == [value(i) for i in range(2503)]
        assert list(db.keys()) == [b"%08d" % i for i in range(2503)]
        assert db.read(2503) == list(db)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20])
def test_reading_wraps_around_and_says_so(
    backend: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, n: int
) -> None:
    endless = itertools.cycle([value(i) for i in range(7)])
    with open_database(write(backend, tmp_path / "db")) as db, caplog.at_level(logging.INFO):
        for step in range(1, 12):
            assert db.read(n) == list(itertools.islice(endless, n))
            assert db.position == step * n % 7
    assert caplog.messages == ["Restarting data prefetching from start."] * (11 * n // 7)


def test_position_resumes(backend: str, tmp_path: Path) -> None:
    path = write(backend, tmp_path / "db")
    with open_database(path) as db:
        for position in [5, 0, 6, 3]:
            db.position = position
            assert db.position == position
            assert db.read(3) == [value((position + i) % 7) for i in range(3)]
        for bad in [7, -1]:
            with pytest.raises(DataError, match=f"no entry {bad}: it has 7"):
                db.position = bad
        assert db.read(1) == [value(6)]


def test_iterating_leaves_the_position(backend: str, tmp_path: Path) -> None:
    with open_database(write(backend, tmp_path / "db")) as db:
        db.read(2)
        iterator = iter(db)
        next(iterator)
        assert db.read(1) == [value(2)]
        assert next(iterator) == value(1)


def test_reading_in_another_thread(backend: str, tmp_path: Path) -> None:
    with open_database(write(backend, tmp_path / "db")) as db:
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.extend(db.read(9)))
        thread.start()
        thread.join()
        assert got == [value(i % 7) for i in range(9)]


def test_closed(backend: str, tmp_path: Path) -> None:
    db = open_database(write(backend, tmp_path / "db"))
    keys = db.keys()
    next(keys)
    db.close()
    db.close()
    with pytest.raises(DataError, match="after it had been closed"):
        db.read(1)
    with pytest.raises(DataError, match="after it had been closed"):
        next(keys)
    with pytest.raises(DataError, match="after it had been closed"):
        list(db)


def test_empty(backend: str, tmp_path: Path) -> None:
    with new_database(tmp_path / "db", backend):
        pass
    with pytest.raises(DataError, match="is empty"):
        open_database(tmp_path / "db")


@pytest.mark.parametrize("kind", ["database", "empty folder", "file"])
def test_nothing_is_overwritten(backend: str, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "db"
    if kind == "database":
        write(backend, path)
    elif kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
    with pytest.raises(DataError, match="exists already"), new_database(path, backend):
        pass
    assert path.exists()
    with pytest.raises(MissingFileError, match="no folder to make"), new_database(tmp_path / "no/db", backend):
        pass


def test_an_exception_leaves_nothing_behind(backend: str, tmp_path: Path) -> None:
    def fail() -> None:
        with new_database(tmp_path / "db", backend) as db:
            for i in range(1500):
                db.put(b"%d" % i, b"v")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not (tmp_path / "db").exists()


def test_no_room_on_the_disk(backend: str, tmp_path: Path) -> None:
    code = (
        "import resource; from pycaffe_lite.data.database import new_database\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        f"with new_database({str(tmp_path / 'db')!r}, {backend!r}) as db:\n"
        "    for i in range(500): db.put(b'%d' % i, bytes(100_000))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DataError" in done.stderr.splitlines()[-1]
    assert "Is the disk full?" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize("start", [0, 4])
@pytest.mark.parametrize("n", [0, 2, 3, 6, 7, 8, 23])
def test_skipping_wraps_around(backend: str, tmp_path: Path, start: int, n: int) -> None:
    with open_database(write(backend, tmp_path / "db")) as db:
        db.read(start)
        db.skip(n)
        assert db.read(2) == [value((start + n) % 7), value((start + n + 1) % 7)]


def test_a_later_entry_of_a_key_replaces_it(backend: str, tmp_path: Path) -> None:
    with new_database(tmp_path / "db", backend) as db:
        for key, v in ((b"b", b"1"), (b"a", b"2"), (b"b", b"3")):
            db.put(key, v)
    with open_database(tmp_path / "db") as reader:
        assert list(reader.keys()) == [b"a", b"b"]
        assert list(reader) == [b"2", b"3"]
        assert len(reader) == 2


def test_nothing_is_written_beside_the_data(backend: str, tmp_path: Path) -> None:
    def files() -> dict[str, int]:
        return {name: (path / name).stat().st_mtime_ns for name in os.listdir(path)}

    path = write(backend, tmp_path / "db")
    before = files()
    with open_database(path, backend) as db:
        db.read(10)
    assert files() == before


def test_the_kind_is_told_by_the_folder(tmp_path: Path) -> None:
    for backend, other in (("lmdb", "leveldb"), ("leveldb", "lmdb")):
        path = write(backend, tmp_path / backend)
        with open_database(path) as db, open_database(path, backend) as same:
            assert type(db) is type(same)
            assert list(db) == list(same)
        with pytest.raises(DataError, match=f"Say 'backend: {backend.upper()}'"):
            open_database(path, other)
    with pytest.raises(MissingFileError, match="There is no database"):
        open_database(tmp_path / "none")
    with pytest.raises(DataError, match="is no database"):
        open_database(tmp_path)
    for name in (lambda: open_database(path, "levldb"), lambda: new_database(tmp_path / "new", "levldb")):
        with pytest.raises(DataError, match="no database backend 'levldb'.*Did you mean 'leveldb'"):
            name()
