from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.database import BACKENDS, open_database
from pycaffe_lite.proto.caffe_pb2 import Datum

from .conftest import Cli

FILES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Six files of three records each in in/; out/ is empty."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("out").mkdir()
    rng = np.random.default_rng(0)
    made = {}
    for name in FILES:
        made[name] = rng.integers(0, 256, (3, 3073)).astype(np.uint8)
        made[name][:, 0] %= 10
        made[name].tofile(f"in/{name}")
    return made


@pytest.mark.parametrize("backend", BACKENDS)
def test_converts(cli: Cli, records: dict[str, np.ndarray], backend: str) -> None:
    assert cli("convert-cifar", "in", "out", backend).status == 0
    for name, files in (("train", FILES[:5]), ("test", FILES[5:])):
        expected = np.concatenate([records[f] for f in files])
        with open_database(f"out/cifar10_{name}_{backend}", backend) as db:
            assert list(db.keys()) == [b"%05d" % i for i in range(len(expected))]
            for datum, record in zip(map(Datum.FromString, db), expected, strict=True):
                assert (datum.channels, datum.height, datum.width) == (3, 32, 32)
                assert datum.label == record[0]
                assert datum.data == record[1:].tobytes()


@pytest.mark.usefixtures("records")
def test_a_file_is_missing(cli: Cli) -> None:
    Path("in/data_batch_4.bin").unlink()
    result = cli("convert-cifar", "in", "out", "lmdb")
    assert result.status == 1
    assert "data_batch_4.bin" in result.error
    assert not list(Path("out").iterdir())


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize("broken", [b"", b"\1" * 3000, b"\x80" * 3073])
def test_a_file_that_is_not_cifars(cli: Cli, broken: bytes) -> None:
    Path("in/test_batch.bin").write_bytes(broken)
    result = cli("convert-cifar", "in", "out", "lmdb")
    assert result.status == 1
    assert "test_batch.bin' is no file of CIFAR-10" in result.error
    assert not list(Path("out").iterdir())


@pytest.mark.usefixtures("records")
def test_a_kind_of_database_that_there_is_not(cli: Cli) -> None:
    assert cli("convert-cifar", "in", "out", "oracle").status == 2
