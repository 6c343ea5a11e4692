from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.database import BACKENDS, open_database

from .conftest import Cli


@pytest.fixture
def idx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """images.gz and labels in the current folder: 12 images of 3x2."""
    monkeypatch.chdir(tmp_path)
    images = struct.pack(">IIII", 0x803, 12, 3, 2) + np.arange(72, dtype=np.uint8).tobytes()
    Path("images.gz").write_bytes(gzip.compress(images))
    Path("labels").write_bytes(struct.pack(">II", 0x801, 12) + bytes(range(10)) + b"\0\1")


@pytest.mark.usefixtures("idx")
@pytest.mark.parametrize("backend", BACKENDS)
def test_converts(cli: Cli, backend: str) -> None:
    result = cli("convert-mnist", f"--backend={backend}", "images.gz", "labels", "db")
    assert result.status == 0
    assert result.err.endswith("] Processed 12 files.\n")
    with open_database("db", backend) as db:
        assert len(db) == 12


@pytest.mark.usefixtures("idx")
def test_an_existing_database_is_kept(cli: Cli) -> None:
    cli("convert-mnist", "images.gz", "labels", "db")
    before = Path("db/data.mdb").read_bytes()
    result = cli("convert-mnist", "images.gz", "labels", "db")
    assert result.status == 1
    assert "'db' exists already" in result.error
    assert Path("db/data.mdb").read_bytes() == before


@pytest.mark.usefixtures("idx")
def test_files_in_the_wrong_order(cli: Cli) -> None:
    result = cli("convert-mnist", "labels", "images.gz", "db")
    assert result.status == 1
    assert "The images come first" in result.error
    assert not Path("db").exists()
