"""HDF5Data against files written with plain h5py."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pycaffe_lite import Net
from pycaffe_lite.errors import MissingFileError, ParameterError
from tests.layers.nets import net_of

ROWS = np.random.default_rng(3).normal(size=(8, 2, 3)).astype(np.float32)
LABELS = np.arange(8) * 10


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of two files, of 5 and 3 rows."""
    for name, rows in (("a.h5", slice(0, 5)), ("b.h5", slice(5, 8))):
        with h5py.File(tmp_path / name, "w") as file:
            file["x"], file["t"] = ROWS[rows], LABELS[rows]
    source = tmp_path / "list.txt"
    source.write_text(f"{tmp_path}/a.h5\n{tmp_path}/b.h5\n")
    return source


def net_on(source: Path, fields: str = "", more: str = "", seed: int = 5) -> Net:
    return net_of(
        f'layer {{ name: "h" type: "HDF5Data" top: "t" top: "x" {more}\n'
        f'hdf5_data_param {{ source: "{source}" batch_size: 3 {fields} }} }}',
        seed=seed,
    )


def test_tops_take_the_dataset_of_their_name_in_order_across_files(listed: Path) -> None:
    net = net_on(listed)
    assert net.blobs["x"].shape == (3, 2, 3)
    assert net.blobs["t"].shape == (3,)
    for step in range(6):
        net.forward()
        rows = np.arange(3 * step, 3 * step + 3) % 8
        np.testing.assert_array_equal(net.blobs["x"].data, ROWS[rows])
        np.testing.assert_array_equal(net.blobs["t"].data, LABELS[rows])


def test_shuffled_rows_keep_their_labels_and_all_come(listed: Path) -> None:
    net = net_on(listed, "shuffle: true")
    seen = []
    for _ in range(8):
        net.forward()
        for x, t in zip(net.blobs["x"].data, net.blobs["t"].data, strict=True):
            np.testing.assert_array_equal(x, ROWS[int(t) // 10])
            seen.append(int(t) // 10)
    epochs = [seen[i : i + 8] for i in range(0, 24, 8)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1


def test_errors_name_layer_and_place(listed: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.txt.*layer 'h' of type HDF5Data, net.prototxt:"):
        net_on(tmp_path / "none.txt")
    with pytest.raises(ParameterError, match=r"does not transform.*layer 'h' of type HDF5Data, net.prototxt:1:"):
        net_on(listed, more="transform_param { scale: 2 }")
