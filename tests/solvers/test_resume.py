"""Going on from a snapshot, bit by bit as if training had never stopped."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import pycaffe_lite as caffe
from pycaffe_lite.data.leveldb import LevelDBWriter
from pycaffe_lite.data.lmdb import LMDBWriter
from pycaffe_lite.errors import ParseError, SnapshotError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.solvers import Action, Event, Solver
from tests.solvers import toy

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (23, 3, 9, 10), dtype=np.uint8)
LABELS = RNG.integers(0, 4, 23)

TOPS = 'top: "data" top: "label"'
AUGMENTED = "transform_param { crop_size: 7 mirror: true scale: 0.00390625 mean_value: 100 }"
LMDB = f"""layer {{ name: "train" type: "Data" {TOPS} include {{ phase: TRAIN }} {AUGMENTED}
  data_param {{ source: "db" backend: LMDB batch_size: 5 rand_skip: 20 prefetch: 3 }} }}
layer {{ name: "test" type: "Data" {TOPS} include {{ phase: TEST }} {AUGMENTED}
  data_param {{ source: "db" backend: LMDB batch_size: 4 }} }}"""
LEVELDB = LMDB.replace('"db" backend: LMDB', '"leveldb" backend: LEVELDB')
PICTURES = f"""layer {{ name: "d" type: "ImageData" {TOPS} {AUGMENTED}
  image_data_param {{ source: "list.txt" batch_size: 4 shuffle: true rand_skip: 9 }} }}"""
WINDOWS = f"""layer {{ name: "d" type: "WindowData" {TOPS} {AUGMENTED}
  window_data_param {{ source: "windows.txt" batch_size: 4 fg_fraction: 0.5 }} }}"""
HDF5 = f"""layer {{ name: "d" type: "HDF5Data" {TOPS}
  hdf5_data_param {{ source: "h5.txt" batch_size: 5 shuffle: true }} }}"""
MEMORY = f"""layer {{ name: "d" type: "MemoryData" {TOPS}
  memory_data_param {{ batch_size: 4 channels: 3 height: 7 width: 7 }} }}"""
DUMMY = """layer { name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 4 dim: 3 dim: 7 dim: 7 } shape { dim: 4 }
  data_filler { type: "gaussian" std: 0.3 } data_filler { type: "constant" value: 2 } } }"""
PYTHON = """layer { name: "d" type: "Python" top: "data" top: "label"
  python_param { module: "tests.solvers.test_resume" layer: "Remembers" } }"""
RANDOM = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "drop" dropout_param { dropout_ratio: 0.4 } }
layer { name: "norm" type: "BatchNorm" bottom: "drop" top: "norm" }
layer { name: "ip" type: "InnerProduct" bottom: "norm" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = """net: "net.prototxt" base_lr: 0.02 lr_policy: "plateau" gamma: 0.5 plateau_winsize: 2 max_iter: 13
iter_size: 2 average_loss: 3 test_iter: 2 test_interval: 3 snapshot_prefix: "s" random_seed: 4 """


class Remembers(caffe.Layer):
    """Python layer: its data depend on how often it ran, and on an array of its own."""

    def setup(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        self.ran, self.walk = 0, np.zeros((3, 1, 1), np.float32)

    def reshape(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        top[0].reshape(4, 3, 7, 7)
        top[1].reshape(4)

    def forward(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        self.ran += 1
        self.walk += np.sin(self.ran)
        top[0].data[...] = np.random.default_rng(self.ran).normal(size=(4, 3, 7, 7)) + self.walk
        top[1].data[...] = self.ran % 4

    def resume_state(self) -> dict[str, Any]:
        return {"ran": np.int64(self.ran), "walk": self.walk}

    def set_resume_state(self, state: dict[str, Any]) -> None:
        self.ran, self.walk = state["ran"], state["walk"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with LMDBWriter("db") as db, LevelDBWriter("leveldb") as same:
        for i, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
            datum = pb.Datum(channels=3, height=9, width=10, data=image.tobytes(), label=int(label))
            for database in (db, same):
                database.put(b"%08d" % i, datum.SerializeToString())
    lines, windows = [], []
    for i, image in enumerate(IMAGES[:11]):
        Image.fromarray(image.transpose(1, 2, 0)).save(f"{i}.png")
        lines.append(f"{tmp_path}/{i}.png {LABELS[i]}")
        boxes = [f"{1 + i % 3} 0.8 {j} 1 {j + 4} 6" for j in range(3)] + [f"0 0.1 0 {j} 5 {j + 3}" for j in range(3)]
        windows += [f"# {i}", f"{tmp_path}/{i}.png", "3", "9", "10", "6", *boxes]
    Path("list.txt").write_text("\n".join(lines))
    Path("windows.txt").write_text("\n".join(windows))
    for i, rows in enumerate((7, 4, 6)):
        with h5py.File(f"{i}.h5", "w") as file:
            file["data"] = RNG.normal(size=(rows, 3, 7, 7)).astype(np.float32)
            file["label"] = np.arange(rows) % 4
    Path("h5.txt").write_text("0.h5\n1.h5\n2.h5\n")


def write(data: str, text: str, seed: int = 4, more: str = RANDOM) -> str:
    Path("net.prototxt").write_text(data + more)
    Path("solver.prototxt").write_text((SOLVER + text).replace("random_seed: 4", f"random_seed: {seed}"))
    return "solver.prototxt"


def make(data: str, text: str, seed: int = 4, more: str = RANDOM) -> Solver:
    solver = caffe.get_solver(write(data, text, seed, more))
    for net in (solver.net, *solver.test_nets):
        if "MemoryData" in data:
            net.set_input_arrays(
                np.ascontiguousarray(IMAGES[:20, :, :7, :7] / np.float32(256)), LABELS[:20].astype(np.float32)
            )
    return solver


def told(solver: Solver) -> list[Any]:
    """What the solver will tell while it trains: exact losses, rates and test scores."""
    seen: list[Any] = []

    def watch(e: Event) -> None:
        if e.kind in ("iteration", "tested"):
            seen.append((e.kind, e.iter, e.loss, e.lr, {k: v.tolist() for k, v in e.outputs.items()}))

    solver.watch(watch)
    return seen


def state(solver: Solver) -> list[bytes]:
    blobs = [b.data.tobytes() for layer in solver.net.layers for b in layer.blobs]
    return blobs + [h.tobytes() for h in solver._parameters.history]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (LMDB, 'type: "Adam" momentum: 0.9'),
        (LMDB, 'type: "SGD" momentum: 0.9 snapshot_format: HDF5'),
        (LEVELDB, 'type: "SGD" momentum: 0.5'),
        (PICTURES, 'type: "Nesterov" momentum: 0.9'),
        (WINDOWS, 'type: "AdaGrad"'),
        (HDF5, 'type: "RMSProp" rms_decay: 0.9 snapshot_format: HDF5'),
        (MEMORY, 'type: "AdaDelta" momentum: 0.9 delta: 0.001'),
        (DUMMY, 'type: "SGD" momentum: 0.5'),
        (PYTHON, 'type: "SGD" momentum: 0.5'),
    ],
)
def test_resumed_is_bit_equal_to_straight(data: str, text: str) -> None:
    whole = make(data, f"{text} snapshot: 8")
    rest_of_whole = told(whole)
    whole.step(17)  # beyond a wrap of all data
    del rest_of_whole[: rest_of_whole.index(next(e for e in rest_of_whole if e[1] == 9))]
    for seed in (4, 5):  # the seed does not matter any more
        resumed = make(data, text, seed)
        resumed.restore(f"s_iter_8.solverstate{'.h5' if 'HDF5' in text else ''}")
        rest_of_resumed = told(resumed)
        resumed.step(9)
        assert len(rest_of_resumed) == 9 + 3
        assert rest_of_resumed == rest_of_whole
        assert state(resumed) == state(whole)

    anew = make(data, text)
    Path(f"s_iter_8.solverstate{'.h5' if 'HDF5' in text else ''}.resume").unlink()
    anew.restore(f"s_iter_8.solverstate{'.h5' if 'HDF5' in text else ''}")
    anew.step(9)
    assert state(anew) != state(whole)


def test_in_a_process_of_its_own() -> None:
    """And the same run, twice, is the same run."""
    text = 'type: "Adam" momentum: 0.9 snapshot: 8'
    runs = []
    for _ in range(2):
        solver = make(LMDB, text)
        solver.solve()
        runs.append((state(solver), Path("s_iter_13.caffemodel").read_bytes()))
    assert runs[0] == runs[1]
    Path("s_iter_13.caffemodel").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "pycaffe_lite", "train", "--solver=solver.prototxt", "--snapshot=s_iter_8.solverstate"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert Path("s_iter_13.caffemodel").read_bytes() == runs[0][1]


def test_recurrent_states_are_carried_on() -> None:
    lstm = """layer { name: "cont" type: "DummyData" top: "cont" dummy_data_param { shape { dim: 4 dim: 3 }
      data_filler { value: 1 } } }
    layer { name: "lstm" type: "LSTM" bottom: "flat" bottom: "cont" top: "y" recurrent_param { num_output: 4
      weight_filler { type: "xavier" } } }"""
    more = (
        'layer { name: "flat" type: "Reshape" bottom: "data" top: "flat" reshape_param { shape { dim: 4 dim: 3 '
        "dim: 49 } } }" + lstm + 'layer { name: "ip" type: "InnerProduct" bottom: "y" top: "ip" inner_product_param {'
        'num_output: 4 weight_filler { type: "xavier" } } } layer { name: "loss" type: "SoftmaxWithLoss" '
        'bottom: "ip" bottom: "label" top: "loss" }'
    )
    whole = make(PYTHON, "", more=more)
    whole.step(4)
    whole.snapshot()
    whole.step(4)
    resumed = make(PYTHON, "", more=more)
    resumed.restore("s_iter_4.solverstate")
    resumed.step(4)
    assert state(resumed) == state(whole)


def test_a_run_stopped_within_a_test_makes_it_again() -> None:
    whole = make(LMDB, "")
    rest_of_whole = told(whole)
    whole.step(10)
    del rest_of_whole[: rest_of_whole.index(next(e for e in rest_of_whole if e[:2] == ("tested", 6)))]

    stopped = make(LMDB, "")
    asked = []

    def ask() -> Action:
        asked.append(stopped.iter)
        return Action.STOP if asked.count(6) == 3 else Action.NONE  # once after iteration 6, then before each batch

    stopped.action_source = ask
    stopped.solve()
    assert stopped.iter == 6
    resumed = make(LMDB, "")
    resumed.restore("s_iter_6.solverstate")
    rest_of_resumed = told(resumed)
    resumed.step(4)
    assert rest_of_resumed == rest_of_whole


def test_restored_into_a_solver_that_is_already_training() -> None:
    solver = make(LMDB, 'type: "Adam" momentum: 0.9 snapshot: 4')
    seen = told(solver)
    solver.step(7)
    wanted = seen[-4:]
    solver.restore("s_iter_4.solverstate")
    solver.step(3)
    assert seen[-4:] == wanted
    assert [e[:2] for e in wanted] == [("iteration", 5), ("iteration", 6), ("tested", 6), ("iteration", 7)]


def test_the_rest_travels_with_the_state(tmp_path: Path) -> None:
    solver = make(LMDB, "")
    solver.step(2)
    solver.snapshot()
    content = json.loads(Path("s_iter_2.solverstate.resume").read_text())
    assert content["train"][0]["layer"] == "train"
    own = content["train"][0]["own"]
    assert own["entries"] == 23
    skipped = (own["position"] - 2 * 2 * 5) % 23  # what was consumed, not what the thread had made
    fresh = make(LMDB, "")
    assert skipped == fresh.net.layer_dict["train"]._whole_state()["own"]["position"] < 20
    assert [[s["layer"] for s in states if "own" in s] for states in content["tests"]] == [["test"]]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def snapshot_at_2(data: str = LMDB) -> Solver:
    solver = make(data, "")
    solver.step(2)
    solver.snapshot()
    return solver


def test_without_the_file_data_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    snapshot_at_2()
    Path("s_iter_2.solverstate.resume").unlink()
    solver = make(LMDB, "")
    solver.restore("s_iter_2.solverstate")
    assert caplog.messages[-1] == "There is no s_iter_2.solverstate.resume: data and random numbers begin anew"
    solver.step(3)
    assert warnings(caplog) == []


def test_a_file_of_another_state_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    old = snapshot_at_2()
    shutil.copy("s_iter_2.solverstate.resume", "old")
    old.step(1)
    old.iter = 2
    old.snapshot()
    shutil.copy("old", "s_iter_2.solverstate.resume")
    solver = make(LMDB, "")
    solver.restore("s_iter_2.solverstate")
    assert warnings(caplog) == [
        "s_iter_2.solverstate.resume was written with another solver state: data and random numbers begin anew"
    ]


def test_another_database_or_layer_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    snapshot_at_2()
    with LMDBWriter("db2") as db:
        db.put(b"0", pb.Datum(channels=3, height=9, width=10, data=IMAGES[0].tobytes()).SerializeToString())
    net = LMDB.replace('name: "test"', 'name: "other"').replace('"db"', '"db2"', 1)
    solver = make(net, "")
    solver.restore("s_iter_2.solverstate")
    assert warnings(caplog) == [
        "Data 'train' begins anew: The source had 23 entries when the snapshot was written, it has 1",
        "The snapshot does not know Data 'other': it begins anew",
        "The snapshot knows Data 'test', this net does not",
    ]
    solver.step(3)
    other = caffe.get_solver(write(LMDB, "test_iter: 1"))
    caplog.clear()
    other.restore("s_iter_2.solverstate")
    assert warnings(caplog) == ["The snapshot knows 1 test nets, there are 2"]


def test_memory_data_goes_on_with_arrays_that_come_later(caplog: pytest.LogCaptureFixture) -> None:
    whole = snapshot_at_2(MEMORY)
    whole.step(2)
    arrays = np.ascontiguousarray(IMAGES[:20, :, :7, :7] / np.float32(256)), LABELS[:20].astype(np.float32)
    later = caffe.get_solver(write(MEMORY, ""))
    later.restore("s_iter_2.solverstate")
    with pytest.raises(caffe.CaffeError, match="goes on at item 16, in batches of 4; there are 8 data"):
        later.net.set_input_arrays(arrays[0][:8], arrays[1][:8])
    for net in (later.net, *later.test_nets):
        net.set_input_arrays(*arrays)
    later.step(2)
    assert state(later) == state(whole)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c[: len(c) // 2], "is broken"),
        (lambda c: "[]", "is broken"),
        (lambda c: c.replace('"losses"', '"lasses"'), "is broken: KeyError"),
        (lambda c: c.replace('"lowest_loss"', '"highest"'), "is broken: KeyError"),
        (
            lambda c: c.replace('"last_event": 0', '"last_event": "a"').replace('"last_event": 1', '"last_event": "a"'),
            "is broken: ValueError",
        ),
        (lambda c: c.replace('"early_stopping": null', '"early_stopping": {}'), "is broken: KeyError"),
        (lambda c: "[" * 100000, "is broken"),
        (
            lambda c: c.replace('"has_uint32": ', '"has_uint32": 99999999999999999999'),
            "state of layer 'train' in the snapshot is broken",
        ),
        (lambda c: c.replace('"version": 1', '"version": 7'), "is of version 7"),
        (lambda c: c.replace('"position"', '"place"'), "state of layer 'train' in the snapshot is broken"),
        (lambda c: c.replace("PCG64", "MT"), "state of layer 'train' in the snapshot is broken"),
    ],
)
def test_a_broken_file_is_an_error(spoil: Callable[[str], str], message: str) -> None:
    snapshot_at_2()
    path = Path("s_iter_2.solverstate.resume")
    path.write_text(spoil(path.read_text()))
    with pytest.raises(ParseError, match=rf"{message}.* Without that file training resumes as in Caffe"):
        make(LMDB, "").restore("s_iter_2.solverstate")


def test_what_cannot_be_remembered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = make(PYTHON, "")
    monkeypatch.setattr(type(solver.net.layer_dict["d"]), "resume_state", lambda self: {"file": self})
    with pytest.raises(SnapshotError, match="resume_state cannot be written: Remembers is none of JSON's types"):
        solver.snapshot()
    assert not list(Path().glob("s_iter*"))


def test_the_toy_begins_anew_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A user's layer that remembers nothing needs no word."""
    solver = toy.make(tmp_path, 'snapshot_prefix: "s"')
    solver.step(1)
    solver.snapshot()
    toy.make(tmp_path, 'snapshot_prefix: "s"').restore("s_iter_1.solverstate")
    assert warnings(caplog) == []


def test_back_to_a_snapshot_from_before_anything_was_drawn(caplog: pytest.LogCaptureFixture) -> None:
    solver = make(DUMMY, 'type: "SGD" momentum: 0.5')
    solver.snapshot()
    solver.step(3)
    straight = state(solver)
    caplog.clear()
    solver.restore("s_iter_0.solverstate")
    solver.step(3)
    assert state(solver) == straight
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
