from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from pycaffe_lite._files import atomic_write, check_writable, find_file, read_bytes
from pycaffe_lite.errors import CaffeError, MissingFileError, SnapshotError, WeightsError

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def test_reading(tmp_path):
    (tmp_path / "a").write_bytes(b"\0\xff")
    assert read_bytes(tmp_path / "a") == b"\0\xff"
    assert find_file(tmp_path / "a") == str(tmp_path / "a")


def test_a_missing_file_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError) as e:
        read_bytes("no/such.file")
    assert repr(str(tmp_path / "no" / "such.file")) in str(e.value)
    assert e.value.hint == f"There is no folder {str(tmp_path / 'no')!r} either."


@pytest.mark.parametrize("name", ["", "."])
def test_a_folder_is_no_file(tmp_path, name):
    with pytest.raises(MissingFileError, match="is a folder"):
        read_bytes(tmp_path / name)


def test_no_name_is_no_file():
    with pytest.raises(MissingFileError, match="its path is empty"):
        read_bytes("")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "a/b"])
def test_names_that_cannot_be(tmp_path, name):
    (tmp_path / "a").touch()
    with pytest.raises(MissingFileError):
        read_bytes(f"{tmp_path}/{name}")


@pytest.mark.skipif(ROOT or os.name == "nt", reason="root reads everything")
def test_no_permission_to_read(tmp_path):
    (tmp_path / "a").touch(mode=0)
    with pytest.raises(CaffeError, match="Permission denied"):
        read_bytes(tmp_path / "a")


def test_writing_replaces_the_file_at_the_end(tmp_path):
    goal = tmp_path / "a.bin"
    goal.write_bytes(b"old")
    with atomic_write(goal) as part:
        assert part.parent == tmp_path
        part.write_bytes(b"new")
        assert goal.read_bytes() == b"old"
    assert goal.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, WeightsError, ZeroDivisionError])
def test_a_failure_leaves_everything_as_it_was(tmp_path, error):
    goal = tmp_path / "a.bin"
    goal.write_bytes(b"old")
    with pytest.raises(error), atomic_write(goal) as part:  # noqa: PT012
        part.write_bytes(b"half of the n")
        raise error("on purpose")
    assert goal.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_full_disk_says_how_much_is_free(tmp_path):
    goal = tmp_path / "a.bin"
    goal.write_bytes(b"old")
    with pytest.raises(SnapshotError) as e, atomic_write(goal) as part:  # noqa: PT012
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert f"Cannot write {goal}: No space left on device (" in str(e.value)
    assert "MB are free there). What was there before is untouched." in str(e.value)
    assert goal.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no file size limits here")
def test_a_limit_of_the_operating_system(tmp_path):
    code = """if True:
        import resource, signal, sys
        from pycaffe_lite._files import atomic_write
        from pycaffe_lite.errors import SnapshotError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            with atomic_write(sys.argv[1]) as part:
                part.write_bytes(bytes(5000))
        except SnapshotError as e:
            print(e)
    """
    (tmp_path / "a").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True, timeout=60, check=True
    )
    assert "File too large" in done.stdout
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_missing_folder(tmp_path):
    with pytest.raises(SnapshotError, match="there is no folder"), atomic_write(tmp_path / "no" / "a") as part:
        part.write_bytes(b"")


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(SnapshotError, match="Cannot write") as e, atomic_write(tmp_path / "a") as part:
        part.write_bytes(b"")
    assert "MB are free" not in str(e.value)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="links need privileges")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "far" / "b")
    with atomic_write(tmp_path / "a") as part:
        part.write_bytes(b"new")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "far" / "b").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_the_mode_is_that_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    with atomic_write(tmp_path / "a") as part:
        part.write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_name_of_full_length(tmp_path):
    goal = tmp_path / ("x" * 250)
    with atomic_write(goal) as part:
        part.write_bytes(b"y")
    assert goal.read_bytes() == b"y"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_stays_one_and_is_given_the_bytes(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with atomic_write(pipe) as part:
        part.write_bytes(b"all of it")
    reader.join(10)
    assert read == [b"all of it"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]
    with atomic_write(os.devnull) as part:
        part.write_bytes(b"nothing")
    assert not os.path.isfile(os.devnull)


def test_long_names_of_few_letters(tmp_path):
    with atomic_write(tmp_path / ("ä" * 120)) as part:
        part.write_bytes(b"1")
    assert os.listdir(tmp_path) == ["ä" * 120]


def test_whether_a_file_can_be_written_is_known_before(tmp_path):
    (tmp_path / "a").write_text("there")
    for good in (tmp_path / "a", tmp_path / "new", os.devnull):
        check_writable(good)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "there"
    for bad in (tmp_path, tmp_path / "a" / "b", tmp_path / "none" / "b", tmp_path / ("b" * 256), "a\0b"):
        with pytest.raises(SnapshotError):
            check_writable(bad)
