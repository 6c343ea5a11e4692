"""Data layers against databases written with plain lmdb and protobuf, without our own writers."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import lmdb
import numpy as np
import pytest

import pycaffe_lite
from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.data.digits import write_digits_lmdb
from pycaffe_lite.data.leveldb import LevelDBWriter
from pycaffe_lite.data.lmdb import LMDBReader
from pycaffe_lite.errors import DataError, MissingFileError
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
    source: Path,
    fields: str = "batch_size: 3",
    transform: str = "",
    phase: int = TRAIN,
    tops: int = 2,
    seed: int = 5,
    backend: str = "backend: LMDB",
) -> Net:
    names = " ".join(f'top: "{t}"' for t in ("data", "label")[:tops])
    return net_of(
        f'layer {{ name: "d" type: "Data" {names} transform_param {{ {transform} }}\n'
        f'data_param {{ source: "{source}" {backend} {fields} }} }}',
        phase,
        seed=seed,
    )


def copy_to_leveldb(lmdb_path: Path, path: Path) -> None:
    with LMDBReader(lmdb_path) as old, LevelDBWriter(path) as new:
        for key, value in zip(old.keys(), old, strict=True):
            new.put(key, value)


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
        with pytest.raises(DataError, match=r"3×4×5.*begins with entry 3 of '.*db', counted.*layer 'd' of type Data"):
            net.forward()
    net.close()


@pytest.mark.parametrize(
    ("spoilt", "says"), [(b"no datum", "not a Datum message"), (pb.Datum().SerializeToString(), "0×0×0 and holds")]
)
def test_an_entry_that_is_spoilt_is_named(spoilt: bytes, says: str, tmp_path: Path) -> None:
    source = write(tmp_path / "db", IMAGES, LABELS)
    with lmdb.open(str(source), map_size=1 << 22) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"%08d" % 4, spoilt)
    net = net_on(source, "batch_size: 5", phase=TEST)
    with pytest.raises(DataError, match=rf"{says}.*entry 4 of '.*db', counted from 0 \(layer 'd'"):
        net.forward()
    net.close()


def test_batches_of_one_may_differ_in_size(tmp_path: Path) -> None:
    images = [IMAGES[i][:, : 3 + i] for i in range(4)]
    net = net_on(write(tmp_path / "db", images, LABELS[:4]), "batch_size: 1")
    for image in images + images:
        np.testing.assert_array_equal(net.forward()["data"], image[np.newaxis])
    net.close()


@pytest.mark.parametrize("fields", ["batch_size: 3", "batch_size: 9", "batch_size: 2 rand_skip: 20"])
@pytest.mark.parametrize("backend", ["backend: LEVELDB", ""])
def test_a_leveldb_gives_what_an_lmdb_gives(database: Path, tmp_path: Path, backend: str, fields: str) -> None:
    copy_to_leveldb(database, tmp_path / "leveldb")
    a = net_on(database, fields, "mirror: true")
    b = net_on(tmp_path / "leveldb", fields, "mirror: true", backend=backend)
    for _ in range(9):
        a.forward()
        b.forward()
        for top in ("data", "label"):
            np.testing.assert_array_equal(a.blobs[top].data, b.blobs[top].data)
    a.close()
    b.close()


def test_lenet_trains_on_a_leveldb_as_on_an_lmdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained = []
    for database in write_digits_lmdb(tmp_path, train=150, test=100):
        copy_to_leveldb(Path(database), Path(database.replace("_lmdb", "_leveldb")))
    net = (Path(pycaffe_lite.__file__).parents[1] / "models/lenet/lenet_train_test.prototxt").read_text()
    for backend in ("lmdb", "leveldb"):
        text = net.replace("mnist_", "digits_").replace("_lmdb", f"_{backend}").replace("LMDB", backend.upper())
        assert text.count(f'_{backend}" batch') == text.count(f"backend: {backend.upper()} ") == 2
        Path("net.prototxt").write_text(text)
        Path("solver.prototxt").write_text(
            'net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 max_iter: 4 test_iter: 2 '
            "test_interval: 4 random_seed: 3 snapshot_after_train: false"
        )
        solver = pycaffe_lite.get_solver("solver.prototxt")
        solver.solve()
        trained.append([blob.data.copy() for blobs in solver.net.params.values() for blob in blobs])
        trained[-1].append(solver.test_nets[0].blobs["loss"].data.copy())
        for n in (solver.net, *solver.test_nets):
            n.close()
    for a, b in zip(*trained, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_backend_must_be_the_databases(database: Path, tmp_path: Path) -> None:
    def net(source: Path, backend: str) -> str:
        return (
            f'layer {{ name: "d" type: "Data" top: "x" data_param {{ source: "{source}" batch_size: 2 {backend} }} }}'
        )

    with LevelDBWriter(tmp_path / "leveldb") as db:
        db.put(b"1", b"")
    for source, backend, other in ((database, "leveldb", "lmdb"), (tmp_path / "leveldb", "lmdb", "leveldb")):
        with pytest.raises(DataError, match=f"is not an? .*, or convert the data again with --backend={backend}") as e:
            net_of(net(source, f"backend: {backend.upper()}"))
        assert f"Say 'backend: {other.upper()}'" in str(e.value)
        assert "layer 'd' of type Data" in str(e.value)
    with pytest.raises(DataError, match=r"is no database: it is no folder with a data\.mdb"):
        net_of(net(tmp_path, ""))


def test_forced_channels_of_images_that_are_not_encoded(
    database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Caffe ignores them too, and says so."""
    assert net_on(database, transform="force_gray: true").blobs["data"].shape == (3, 3, 6, 5)
    assert "Data 'd': force_color and force_gray are ignored, the images are not encoded" in caplog.messages
    caplog.clear()
    net_on(database)
    assert not [m for m in caplog.messages if "force" in m]


def test_a_batch_is_known_to_be_the_same_until_somebody_looks_or_the_next_comes(database: Path) -> None:
    net = net_of(
        'layer { name: "d" type: "Data" top: "x"\n'
        f'data_param {{ source: "{database}" backend: LMDB batch_size: 3 }} }}\n'
        'layer { name: "c" type: "Convolution" bottom: "x" top: "y"\n'
        "convolution_param { num_output: 2 kernel_size: 3 } }"
    )
    x = net.blobs["x"]
    net.forward()
    first = x.written("data")
    assert first is not None
    net.forward()
    assert x.written("data") not in (None, first)
    x.data[...] = 0
    assert x.written("data") is None
