from __future__ import annotations

import gc
import itertools
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import lmdb
import numpy as np
import pytest

from pycaffe_lite.data.lmdb import LMDBReader, LMDBWriter
from pycaffe_lite.errors import DataError, MissingFileError


def write(path: Path, n: int = 7, size: int = 3) -> Path:
    """Write n entries in another order than their keys'."""
    with LMDBWriter(path) as db:
        for i in np.random.default_rng(0).permutation(n):
            db.put(b"%08d" % i, value(i, size))
    return path


def value(i: int, size: int = 3) -> bytes:
    return (b"v%d " % i) * size


def test_values_come_in_key_order(tmp_path: Path) -> None:
    with LMDBReader(write(tmp_path / "db", 2503)) as db:
        assert len(db) == 2503
        assert list(db) == [value(i) for i in range(2503)]
        assert list(db.keys()) == [b"%08d" % i for i in range(2503)]
        assert db.read(2503) == list(db)


def test_caffe_or_anyone_can_read_what_is_written(tmp_path: Path) -> None:
    path = write(tmp_path / "db")
    with lmdb.open(str(path)) as environment, environment.begin() as transaction:
        assert dict(transaction.cursor()) == {b"%08d" % i: value(i) for i in range(7)}


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20])
def test_reading_wraps_around_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture, n: int) -> None:
    endless = itertools.cycle([value(i) for i in range(7)])
    with LMDBReader(write(tmp_path / "db")) as db, caplog.at_level(logging.INFO):
        for step in range(1, 12):
            assert db.read(n) == list(itertools.islice(endless, n))
            assert db.position == step * n % 7
    assert caplog.messages == ["Restarting data prefetching from start."] * (11 * n // 7)


def test_position_resumes(tmp_path: Path) -> None:
    path = write(tmp_path / "db")
    with LMDBReader(path) as db:
        for position in [5, 0, 6, 3]:
            db.position = position
            assert db.position == position
            assert db.read(3) == [value((position + i) % 7) for i in range(3)]
        for bad in [7, -1]:
            with pytest.raises(DataError, match=f"no entry {bad}: it has 7"):
                db.position = bad
        assert db.read(1) == [value(6)]


def test_iterating_leaves_the_position(tmp_path: Path) -> None:
    with LMDBReader(write(tmp_path / "db")) as db:
        db.read(2)
        iterator = iter(db)
        next(iterator)
        assert db.read(1) == [value(2)]
        assert next(iterator) == value(1)


def test_several_readers_of_one_database(tmp_path: Path) -> None:
    path = write(tmp_path / "db")
    (tmp_path / "link").symlink_to(path)
    with LMDBReader(path) as first:
        second = LMDBReader(tmp_path / "link")
        first.read(4)
        assert second.read(1) == [value(0)]
        first.close()
        assert second.read(1) == [value(1)]
        second.close()
    with lmdb.open(str(path)):
        pass


def test_a_collected_reader_lets_go(tmp_path: Path) -> None:
    path = write(tmp_path / "db")
    db = LMDBReader(path)
    db.read(3)
    del db
    gc.collect()
    with lmdb.open(str(path)):
        pass


def test_a_database_made_anew_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "db")
    old = LMDBReader(path)
    shutil.rmtree(path)
    with LMDBReader(write(path, 9)) as new:
        assert (len(old), len(new)) == (7, 9)
        assert old.read(1) == new.read(1)
    old.close()


def test_reading_in_another_thread(tmp_path: Path) -> None:
    with LMDBReader(write(tmp_path / "db")) as db:
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.extend(db.read(9)))
        thread.start()
        thread.join()
        assert got == [value(i % 7) for i in range(9)]


def test_nothing_is_written_next_to_the_data(tmp_path: Path) -> None:
    path = write(tmp_path / "db")
    (path / "lock.mdb").unlink()
    before = (path / "data.mdb").stat()
    path.chmod(0o555)
    with LMDBReader(path) as db:
        db.read(10)
    path.chmod(0o755)
    assert os.listdir(path) == ["data.mdb"]
    assert (path / "data.mdb").stat().st_mtime_ns == before.st_mtime_ns


def test_closed(tmp_path: Path) -> None:
    db = LMDBReader(write(tmp_path / "db"))
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


@pytest.mark.parametrize("keep", [0.9999, 0.6, 0.1, 8192, 5000, 4096, 100, 0])
def test_a_database_cut_off_is_refused(tmp_path: Path, keep: float) -> None:
    file = write(tmp_path / "db", 1200, 300) / "data.mdb"
    size = file.stat().st_size
    os.truncate(file, int(keep * size if keep < 1 else keep))
    # In a process of its own: reading past the end of the file would kill it.
    code = f"from pycaffe_lite.data.lmdb import LMDBReader\nLMDBReader({str(tmp_path / 'db')!r}).read(1200)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "DataError" in last
    assert (f"is cut off: data.mdb has {int(keep * size)} bytes, it should have {size}" in last) == (0.1 <= keep < 1)
    assert "Copy it again" in last


def test_zeros_in_the_middle(tmp_path: Path) -> None:
    file = write(tmp_path / "db", 1200, 300) / "data.mdb"
    with open(file, "r+b") as data:
        data.seek(file.stat().st_size // 2)
        data.write(bytes(file.stat().st_size // 4))
    with pytest.raises(DataError, match="is corrupt.*Copy it again"), LMDBReader(tmp_path / "db") as db:
        db.read(1200)


def test_what_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="There is no database"):
        LMDBReader(tmp_path / "db")
    (tmp_path / "db").mkdir()
    with pytest.raises(DataError, match=r"no folder with a data\.mdb"):
        LMDBReader(tmp_path / "db")
    (tmp_path / "db/CURRENT").write_text("MANIFEST-000002\n")
    with pytest.raises(DataError, match="it is a LevelDB"):
        LMDBReader(tmp_path / "db")
    (tmp_path / "db/data.mdb").write_bytes(b"hello " * 5000)
    with pytest.raises(DataError, match="cannot be read as an LMDB"):
        LMDBReader(tmp_path / "db")
    with pytest.raises(DataError, match=r"no folder with a data\.mdb"):
        LMDBReader(tmp_path / "db/data.mdb")


def test_empty(tmp_path: Path) -> None:
    with LMDBWriter(tmp_path / "db"):
        pass
    with pytest.raises(DataError, match="is empty"):
        LMDBReader(tmp_path / "db")


def test_open_elsewhere(tmp_path: Path) -> None:
    with LMDBWriter(tmp_path / "db") as db:
        db.put(b"1", b"1")
        # Older lmdb packages allow it and show what is committed so far: nothing.
        with pytest.raises(DataError, match="open elsewhere in this process|is empty"):
            LMDBReader(tmp_path / "db")
    with LMDBReader(tmp_path / "db") as reader:
        assert reader.read(2) == [b"1", b"1"]


def test_the_map_grows(tmp_path: Path) -> None:
    values = [np.random.default_rng(i).bytes(40_000) for i in range(60)]
    with LMDBWriter(tmp_path / "db", map_size=1 << 16) as db:
        for i, v in enumerate(values):
            db.put(b"%03d" % i, v)
    with LMDBReader(tmp_path / "db") as db:
        assert list(db) == values


@pytest.mark.parametrize("kind", ["database", "empty folder", "file"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "db"
    if kind == "database":
        write(path)
    elif kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
    with pytest.raises(DataError, match="exists already"), LMDBWriter(path):
        pass
    assert path.exists()
    with pytest.raises(MissingFileError, match="no folder to make"), LMDBWriter(tmp_path / "no/db"):
        pass


def test_an_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with LMDBWriter(tmp_path / "db") as db:
            for i in range(1500):
                db.put(b"%d" % i, b"v")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize("key", [b"", b"x" * 512])
def test_keys_that_lmdb_cannot_take(tmp_path: Path, key: bytes) -> None:
    with LMDBWriter(tmp_path / "db") as db:
        with pytest.raises(DataError, match=f"has {len(key)} bytes"):
            db.put(key, b"")
        db.put(b"x" * 511, b"last")


def test_no_room_on_the_disk(tmp_path: Path) -> None:
    code = (
        "import resource; from pycaffe_lite.data.lmdb import LMDBWriter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        f"with LMDBWriter({str(tmp_path / 'db')!r}) as db:\n"
        "    for i in range(50): db.put(b'%d' % i, bytes(100_000))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DataError" in done.stderr.splitlines()[-1]
    assert "Is the disk full?" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "db").exists()
