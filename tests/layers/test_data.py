"""Data layers against databases written with plain lmdb and protobuf, without our own writers."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import lmdb
import numpy as np
import pytest

from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.errors import DataError, MissingFileError, ParameterError
from pycaffe_lite.proto import caffe_pb2 as pb
from tests.layers.nets import net_of

IMAGES = np.random.default_rng(1).integers(0, 256, (7, 3, 6, 5), dtype=np.uint8)
LABELS = np.array([4, 0, 6, 2, 9, 1, 3])


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """Entries in another order than their keys'."""
    with lmdb.open(str(folder), map_size=1 << 22) as environment, environment.begin(write=True) as transaction:
        for i in np.random.default_rng(2).permutation(len(images)):
            c, h, w = images[i].shape
            datum = pb.Datum(channels=c, height=h, width=w, data=images[i].tobytes(), label=int(labels[i]))
            transaction.put(b"%08d" % i, datum.SerializeToString())
    return folder


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return write(tmp_path / "db", IMAGES, LABELS)


def net_on(
    source: Path, fields: str = "batch_size: 3", transform: str = "", phase: int = TRAIN, tops: int = 2, seed: int = 5
) -> Net:
    names = " ".join(f'top: "{t}"' for t in ("data", "label")[:tops])
    return net_of(
        f'layer {{ name: "d" type: "Data" {names} transform_param {{ {transform} }}\n'
        f'data_param {{ source: "{source}" backend: LMDB {fields} }} }}',
        phase,
        seed=seed,
    )


def test_rows_come_in_key_order_and_wrap_around(database: Path) -> None:
    net = net_on(database)
    assert net.blobs["data"].shape == (3, 3, 6, 5)
    assert net.blobs["label"].shape == (3,)
    seen = 0
    for _ in range(8):
        net.forward()
        rows = np.arange(seen, seen + 3) % 7
        np.testing.assert_array_equal(net.blobs["data"].data, IMAGES[rows])
        np.testing.assert_array_equal(net.blobs["label"].data, LABELS[rows])
        seen += 3
    net.close()


def test_one_top_leaves_the_labels_out(database: Path) -> None:
    net = net_on(database, "batch_size: 8", tops=1)
    assert list(net.blobs) == ["data"]
    np.testing.assert_array_equal(net.forward()["data"], IMAGES[[0, 1, 2, 3, 4, 5, 6, 0]])
    net.close()


def test_transform_in_test_phase(database: Path) -> None:
    net = net_on(database, transform="scale: 0.5 crop_size: 4 mean_value: 10 mean_value: 20 mean_value: 30", phase=TEST)
    mean = np.array([10, 20, 30]).reshape(3, 1, 1)
    expected = (IMAGES[:3, :, 1:5, 0:4] - mean) * 0.5
    assert net.blobs["data"].shape == (3, 3, 4, 4)
    np.testing.assert_allclose(net.forward()["data"], expected, rtol=1e-6)
    net.close()


def test_random_crops_and_mirrors_are_the_seeds(database: Path) -> None:
    """Whatever is drawn, each image is a window of the right one, mirrored or not; the same seed draws the same."""
    nets = [net_on(database, "batch_size: 7", "crop_size: 3 mirror: true", seed=s) for s in (5, 5, 6)]
    batches = [[net.forward()["data"].copy() for _ in range(4)] for net in nets]
    np.testing.assert_array_equal(batches[0], batches[1])
    assert not np.array_equal(batches[0], batches[2])
    chosen = set()
    for batch in batches[0]:
        for image, whole in zip(batch, IMAGES, strict=True):
            fits = [
                (y, x, flip)
                for y in range(4)
                for x in range(3)
                for flip in (1, -1)
                if np.array_equal(image[:, :, ::flip], whole[:, y : y + 3, x : x + 3])
            ]
            assert len(fits) == 1
            chosen.add(fits[0])
    assert len(chosen) > 10
    for net in nets:
        net.close()


@pytest.mark.parametrize("prefetch", [1, 4])
def test_prefetching_does_not_overwrite_the_batch_in_use(database: Path, prefetch: int) -> None:
    net = net_on(database, f"batch_size: 2 prefetch: {prefetch}")
    for step in range(12):
        net.forward()
        time.sleep(0.003)  # the thread works ahead
        np.testing.assert_array_equal(net.blobs["data"].data, IMAGES[[2 * step % 7, (2 * step + 1) % 7]])
    net.close()


def test_no_thread_before_forward_nor_after_close(database: Path) -> None:
    def threads() -> int:
        return sum(t.name == "prefetch" for t in threading.enumerate())

    before = threads()
    net = net_on(database)
    assert threads() == before
    net.forward()
    assert threads() == before + 1
    net.close()
    assert threads() == before


def test_rand_skip_starts_somewhere_within(database: Path) -> None:
    starts = set()
    for seed in range(12):
        net = net_on(database, "batch_size: 1 rand_skip: 4", seed=seed)
        starts.add(int(np.flatnonzero(net.forward()["label"][0] == LABELS)[0]))
        net.close()
    assert starts == {0, 1, 2, 3}


def test_two_nets_on_one_database_do_not_disturb_each_other(database: Path) -> None:
    a, b = net_on(database), net_on(database, "batch_size: 2")
    for step in range(3):
        a.forward()
        b.forward()
        assert a.blobs["label"].data[0] == LABELS[3 * step % 7]
        assert b.blobs["label"].data[0] == LABELS[2 * step % 7]
    a.close()
    b.close()


def test_float64_nets_get_float64(database: Path) -> None:
    net = net_of(
        f'layer {{ name: "d" type: "Data" top: "x" transform_param {{ scale: 0.1 }}\n'
        f'data_param {{ source: "{database}" batch_size: 2 }} }}',
        dtype=np.float64,
    )
    x = net.forward()["x"]
    assert x.dtype == np.float64
    np.testing.assert_allclose(x, IMAGES[:2] * np.float32(0.1).astype(np.float64), rtol=1e-15)
    net.close()


def test_a_missing_database_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nowhere.*layer 'd' of type Data, net.prototxt:"):
        net_on(tmp_path / "nowhere")


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "db", [*IMAGES[:4], IMAGES[4][:, :4]], LABELS[:5])
    net = net_on(source, "batch_size: 3 prefetch: 1")
    net.forward()
    for _ in range(2):  # and stays refused
        with pytest.raises(DataError, match=r"3×4×5.*layer 'd' of type Data"):
            net.forward()
    net.close()


def test_a_leveldb_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_text("MANIFEST-000001\n")
    with pytest.raises(ParameterError, match="LevelDB"):
        net_of(f'layer {{ name: "d" type: "Data" top: "x" data_param {{ source: "{tmp_path}" batch_size: 2 }} }}')
