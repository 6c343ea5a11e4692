from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
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


def test_caffe_or_anyone_can_read_what_is_written(tmp_path: Path) -> None:
    path = write(tmp_path / "db")
    with lmdb.open(str(path)) as environment, environment.begin() as transaction:
        assert dict(transaction.cursor()) == {b"%08d" % i: value(i) for i in range(7)}


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


def test_nothing_is_written_next_to_the_data(tmp_path: Path) -> None:
    path = write(tmp_path / "db")
    assert os.listdir(path) == ["data.mdb"]  # no lock file either, for which a full disk may lack the room
    before = (path / "data.mdb").stat()
    path.chmod(0o555)
    with LMDBReader(path) as db:
        db.read(10)
    path.chmod(0o755)
    assert os.listdir(path) == ["data.mdb"]
    assert (path / "data.mdb").stat().st_mtime_ns == before.st_mtime_ns


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


def test_open_elsewhere(tmp_path: Path) -> None:
    with LMDBWriter(tmp_path / "db") as db:
        db.put(b"1", b"1")
        with pytest.raises(MissingFileError):
            LMDBReader(tmp_path / "db")
        (folder,) = tmp_path.iterdir()
        # Older lmdb packages allow it and show what is committed so far: nothing.
        with pytest.raises(DataError, match="open elsewhere in this process|is empty"):
            LMDBReader(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["db"]
    with LMDBReader(tmp_path / "db") as reader:
        assert reader.read(2) == [b"1", b"1"]


def test_the_map_grows(tmp_path: Path) -> None:
    values = [np.random.default_rng(i).bytes(40_000) for i in range(60)]
    with LMDBWriter(tmp_path / "db", map_size=1 << 16) as db:
        for i, v in enumerate(values):
            db.put(b"%03d" % i, v)
    with LMDBReader(tmp_path / "db") as db:
        assert list(db) == values


@pytest.mark.parametrize("key", [b"", b"x" * 512])
def test_keys_that_lmdb_cannot_take(tmp_path: Path, key: bytes) -> None:
    with LMDBWriter(tmp_path / "db") as db:
        with pytest.raises(DataError, match=f"has {len(key)} bytes"):
            db.put(key, b"")
        db.put(b"x" * 511, b"last")


def test_what_takes_the_name_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="exists already"), LMDBWriter(tmp_path / "db") as db:  # noqa: PT012
        db.put(b"1", b"1")
        (tmp_path / "db").write_text("mine")
    assert (tmp_path / "db").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["db"]
