"""Comparisons with Caffe are skipped without the reference data, but never in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import GOLDEN, pytest_runtest_makereport


@pytest.mark.parametrize(("required", "says"), [("", "1 skipped"), ("1", "1 error")])
def test_missing_reference_data(tmp_path: Path, required: str, says: str) -> None:
    one = [GOLDEN / "test_models.py", "-k", "cifar10_quick_h5 and numpy"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *one],
        env={**os.environ, "PYCAFFE_LITE_SHARED": str(tmp_path), "PYCAFFE_LITE_REQUIRE_SHARED": required},
        cwd=GOLDEN.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert says in done.stdout
    assert f"No reference data in {tmp_path}" in done.stdout
    assert (done.returncode == 0) is not bool(required)


@pytest.mark.parametrize(
    ("required", "path", "outcome"),
    [
        ("1", GOLDEN / "test_solvers.py", "failed"),
        ("", GOLDEN / "test_solvers.py", "skipped"),
        ("1", GOLDEN.parent / "data" / "test_lmdb.py", "skipped"),
    ],
)
def test_other_skips(monkeypatch: pytest.MonkeyPatch, required: str, path: Path, outcome: str) -> None:
    """A package that is missing, say."""
    monkeypatch.setenv("PYCAFFE_LITE_REQUIRE_SHARED", required)
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr="no h5py")
    hook = pytest_runtest_makereport(SimpleNamespace(path=path, nodeid="test_it"))
    next(hook)
    with pytest.raises(StopIteration) as done:
        hook.send(report)
    assert done.value.value.outcome == outcome
    assert "no h5py" in report.longrepr
