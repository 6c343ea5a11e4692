from __future__ import annotations

import gc
import itertools
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pycaffe_lite.data.hdf5 import HDF5Position, HDF5Source
from pycaffe_lite.errors import DataError, MissingFileError, ParameterError

ROWS = (5, 3, 4)


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., str]:
    """Writes files, each a dictionary of datasets, and their list; returns the list's path."""

    def write(*files: dict[str, np.ndarray]) -> str:
        for number, datasets in enumerate(files):
            with h5py.File(tmp_path / f"f{number}.h5", "w") as file:
                for name, array in datasets.items():
                    file[name] = array
        path = tmp_path / "list.txt"
        path.write_text("".join(f"{tmp_path}/f{number}.h5\n\n" for number in range(len(files))))
        return str(path)

    return write


def numbered(*rows: int) -> list[dict[str, np.ndarray]]:
    """Files whose rows are numbered from 0 on: label is the number, data (2, 3) of it plus 100."""
    starts = np.cumsum((0, *rows))
    return [
        {"label": np.arange(a, b), "data": np.arange(a, b)[:, None, None] + np.full((2, 3), 100.0)}
        for a, b in itertools.pairwise(starts)
    ]


def source(path: str, batch: int = 3, shuffle: bool = False, seed: int = 0, names: tuple[str, ...] = ("data", "label")):
    return HDF5Source(path, names, batch, shuffle, np.random.default_rng(seed))


def take(s: HDF5Source, batches: int) -> list[int]:
    """The numbers of the rows of so many batches."""
    numbers: list[int] = []
    for _ in range(batches):
        data, label = (np.full(shape, np.nan, np.float32) for shape in s.shapes())
        s.next_batch([data, label])
        np.testing.assert_array_equal(data, np.broadcast_to(label[:, None, None] + 100, data.shape))
        numbers += label.astype(int).tolist()
    return numbers


@pytest.mark.parametrize("batch", [1, 3, 4, 7, 12, 30])
def test_rows_run_on_across_files_in_order(listed: Callable[..., str], batch: int) -> None:
    s = source(listed(*numbered(*ROWS)), batch)
    assert s.shapes() == [(batch, 2, 3), (batch,)]
    assert take(s, 10) == [i % sum(ROWS) for i in range(10 * batch)]


def test_one_file_wraps_around(listed: Callable[..., str]) -> None:
    assert take(source(listed(*numbered(5))), 4) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_shuffling_takes_every_row_once_a_pass_file_by_file(listed: Callable[..., str]) -> None:
    s = source(listed(*numbered(*ROWS)), 4, shuffle=True)
    groups = [set(range(5)), set(range(5, 8)), set(range(8, 12))]
    orders, passes = set(), set()
    for _ in range(30):
        numbers = take(s, 3)
        order = []
        while numbers:
            group = next(i for i, g in enumerate(groups) if numbers[0] in g)
            size = len(groups[group])
            assert set(numbers[:size]) == groups[group]
            passes.add((group, tuple(numbers[:size])))
            order.append(group)
            numbers = numbers[size:]
        assert sorted(order) == [0, 1, 2]
        orders.add(tuple(order))
    assert len(orders) == 6
    assert len(passes) > 30
    other = source(listed(*numbered(*ROWS)), 4, shuffle=True, seed=1)
    again = [take(source(listed(*numbered(*ROWS)), 4, shuffle=True), 6) for _ in range(2)]
    assert again[0] == again[1] != take(other, 6)


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_next_file_is_read_in_the_background(
    listed: Callable[..., str], shuffle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, by_us = HDF5Source._load, []

    def noted(self: HDF5Source, path: str) -> list[np.ndarray]:
        by_us.append(threading.current_thread() is threading.main_thread())
        return load(self, path)

    monkeypatch.setattr(HDF5Source, "_load", noted)
    s = source(listed(*numbered(*ROWS)), 2, shuffle)
    assert by_us == [True]  # nothing ahead for a net that only is looked at
    numbers = take(s, 6)
    assert sorted(numbers) == list(range(12))
    take(s, 1)
    assert by_us[:3] == [True, False, False]
    assert not any(by_us[1:])


def test_a_source_goes_when_it_is_let_go(listed: Callable[..., str]) -> None:
    """With what it has read ahead, and without the garbage collector."""
    gc.disable()
    try:
        s = source(listed(*numbered(*ROWS)), 2)
        take(s, 1)
        assert s._ahead is not None
        s._ahead[1].close()
        gone = weakref.ref(s)
        del s
        assert gone() is None
    finally:
        gc.enable()


def test_a_file_that_goes_is_missed_when_it_is_needed(listed: Callable[..., str]) -> None:
    s = source(listed(*numbered(*ROWS)), 5)
    os.remove(s._files[1])
    for _ in range(2):  # and every time
        with pytest.raises(DataError, match="cannot be read as an HDF5 file"):
            take(s, 1)


@pytest.mark.parametrize("shuffle", [False, True])
def test_position_resumes(listed: Callable[..., str], shuffle: bool) -> None:
    path = listed(*numbered(*ROWS))
    s = source(path, 4, shuffle)
    assert s.position == (0, 0, 0)
    take(s, 5)
    position = s.position
    assert position.epoch == 1
    assert shuffle or position == HDF5Position(epoch=1, file=2, row=0)
    rest = take(s, 5)
    resumed = source(path, 4, shuffle)
    take(resumed, 2)
    resumed.position = HDF5Position(*position)
    assert take(resumed, 5) == rest
    with pytest.raises(DataError, match="no file 3: it names 3"):
        resumed.position = HDF5Position(0, 3, 0)
    with pytest.raises(DataError, match="has no row 5: it has"):
        resumed.position = HDF5Position(0, 0, 5)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "u1", "i4", "i8", "?"])
def test_every_number_type_becomes_float32(listed: Callable[..., str], dtype: str) -> None:
    array = np.arange(12).reshape(4, 3).astype(dtype)
    s = source(listed({"x": array}), 4, names=("x",))
    out = np.empty((4, 3), np.float32)
    s.next_batch([out])
    np.testing.assert_array_equal(out, array.astype(np.float32))


def test_paths_are_relative_to_here_or_else_to_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, number in (("here", 1), ("there", 2)):
        (tmp_path / folder).mkdir()
        with h5py.File(tmp_path / folder / "a b.h5", "w") as file:
            file["x"] = np.full((1, 1), number)
    (tmp_path / "there/list.txt").write_text("  a b.h5  \r\n")
    out = np.empty((1, 1), np.float32)
    for folder, number in (("here", 1), ("", 2)):
        monkeypatch.chdir(tmp_path / folder)
        source(str(tmp_path / "there/list.txt"), 1, names=("x",)).next_batch([out])
        assert out[0, 0] == number


def test_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    with pytest.raises(MissingFileError, match="a text file that lists"):
        source(str(path))
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        source(str(tmp_path))
    path.write_text("\n")
    with pytest.raises(DataError, match="names no files"):
        source(str(path))
    path.write_text("\nno.h5\n")
    with pytest.raises(MissingFileError, match=r"no\.h5', named in line 2 of"):
        source(str(path))
    path.write_text(str(tmp_path))
    with pytest.raises(MissingFileError, match="is a folder, not a file, named in line 1 of"):
        source(str(path))
    path.write_text(str(path))
    with pytest.raises(DataError, match="cannot be read as an HDF5 file"):
        source(str(path))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            [{"dats": np.zeros((2, 3)), "label": np.zeros(2)}],
            "no dataset 'data'; it has: dats, label. Did you mean 'dats'",
        ),
        ([{"data": np.zeros((2, 3)), "label": np.zeros(3)}], "2 rows of 'data' and 3 of 'label'"),
        ([{"data": np.zeros((0, 3)), "label": np.zeros(0)}], r"shape \(0, 3\).*needs rows"),
        ([{"data": np.zeros(()), "label": np.zeros(2)}], r"shape \(\)"),
        ([{"data": np.array([b"a", b"b"]), "label": np.zeros(2)}], "It must hold numbers"),
        ([{"data/inner": np.zeros(2), "label": np.zeros(2)}], "no dataset 'data'"),
        (
            [{"data": np.zeros((2, 3)), "label": np.zeros(2)}, {"data": np.zeros((2, 4)), "label": np.zeros(2)}],
            r"'data' are of shape \(4,\) in .*f1.h5' and \(3,\) in .*f0.h5",
        ),
    ],
)
def test_files_that_cannot_be_used(listed: Callable[..., str], files: list[dict[str, np.ndarray]], says: str) -> None:
    path = listed(*files)
    with pytest.raises(DataError, match=says):
        source(path, 4).next_batch([np.empty((4, 3), np.float32), np.empty(4, np.float32)])


def test_batch_size_is_checked(listed: Callable[..., str]) -> None:
    with pytest.raises(ParameterError, match="batch_size is 0"):
        source(listed(*numbered(2)), 0)


def test_the_source_is_a_list_and_no_hdf5_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(DataError, match=r"a\.h5' is an HDF5 file\. .*a text file that lists"):
        source(str(tmp_path / "a.h5"))
