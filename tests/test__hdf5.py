"""HDF5 files that are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pycaffe_lite._hdf5 import new_hdf5
from pycaffe_lite.errors import ShapeError, SnapshotError

ROWS = np.arange(24.0).reshape(2, 3, 4)


def test_rows_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with new_hdf5(path) as file:
        for n in (1, 2):
            file.add_rows({"x": ROWS[:n], "conv/1x1": ROWS[:n, 0].astype(np.float32)})
        assert not path.exists()
    with h5py.File(path) as read:
        np.testing.assert_array_equal(read["x"], ROWS[[0, 0, 1]])
        np.testing.assert_array_equal(read["conv/1x1"], ROWS[[0, 0, 1], 0])
        assert (read["x"].dtype, read["conv/1x1"].dtype) == (np.float64, np.float32)


def test_rows_of_another_shape_are_refused_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with new_hdf5(path) as file:
        file.add_rows({"x": ROWS, "y": ROWS})
        with pytest.raises(ShapeError, match=r"\(4, 3\) do not go into dataset 'y' behind rows of shape \(3, 4\)"):
            file.add_rows({"x": ROWS, "y": ROWS.swapaxes(1, 2)})
        assert len(file.h5["x"]) == len(file.h5["y"]) == 2


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_hdf5(tmp_path / "a.h5") as file:
            file.add_rows({"x": ROWS})
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    with pytest.raises(SnapshotError, match="Cannot write .*nowhere"), new_hdf5(tmp_path / "nowhere" / "a.h5"):
        pass
    assert not list(tmp_path.iterdir())


FEATURES = "extract_features(net, ['x'], [sys.argv[1] + '/out.h5'], 9, 'hdf5')"
LAYER = "[net.forward() for _ in range(9)]"


@pytest.mark.parametrize("work", [FEATURES, LAYER])
def test_rows_that_do_not_fit_on_the_disk(work: str, tmp_path: Path) -> None:
    net = """
        layer { name: "i" type: "Input" top: "x" top: "t"
                input_param { shape { dim: 20 dim: 30 dim: 30 } shape { dim: 20 } } }
    """
    if work is LAYER:
        net += 'layer { name: "o" type: "HDF5Output" bottom: "x" bottom: "t" hdf5_output_param { file_name: "FILE" } }'
    (tmp_path / "net.prototxt").write_text(net.replace("FILE", str(tmp_path / "out.h5")))
    code = f"""if True:
        import resource, sys
        import pycaffe_lite as caffe
        from pycaffe_lite.errors import SnapshotError
        from pycaffe_lite.features import extract_features
        net = caffe.Net(sys.argv[1] + "/net.prototxt", caffe.TEST)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        try:
            {work}
        except SnapshotError as e:
            print(e)
        net.close()
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "Cannot write" in done.stdout
    assert "out.h5" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["net.prototxt"]
