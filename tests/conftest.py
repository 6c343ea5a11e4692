"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from pycaffe_lite import engines
from pycaffe_lite.errors import MissingPackageError
from pycaffe_lite.graph.again import Repeats
from pycaffe_lite.graph.steps import Steps

CHECKOUT = Path(__file__).parents[1]
GOLDEN, ENGINES = Path(__file__).parent / "golden", Path(__file__).parent / "engines"


def shared_required() -> bool:
    """Whether the reference data have to be there: in CI."""
    return os.environ.get("PYCAFFE_LITE_REQUIRE_SHARED") == "1"


def shared_folder() -> Path:
    """Where the reference data that is too large for the repository lies; it need not be there."""
    return Path(os.environ.get("PYCAFFE_LITE_SHARED") or CHECKOUT.parent / "shared").resolve()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder. Without it the test is skipped; CI sets PYCAFFE_LITE_REQUIRE_SHARED=1 and it fails instead."""
    folder = shared_folder()
    if (folder / "golden" / "README.md").is_file():
        return folder
    message = f"No reference data in {folder}: set PYCAFFE_LITE_SHARED"
    if shared_required():
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(params=engines.ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each engine in turn, for nets that the test builds; one whose library is not there is skipped."""
    choose_engine(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
def numpy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nets that the test builds compute with numpy, whatever is installed."""
    choose_engine("numpy", monkeypatch)


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nets that the test builds compute with oneDNN; skipped where it is not installed."""
    choose_engine("onednn", monkeypatch)


@pytest.fixture
def by_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pass is run by layers; none is done again without them."""
    for cls in (Repeats, Steps):
        monkeypatch.setattr(cls, "keep", lambda self, notes: None)


def choose_engine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_chosen", None)  # what was chosen before comes back after the test
    try:
        engines.set_engine(name)
    except MissingPackageError as e:
        pytest.skip(str(e))
    if name == "onednn":  # for the small nets of tests, too
        monkeypatch.setattr("pycaffe_lite.engines.onednn.inner_product.MIN_PRODUCTS", 0)
        monkeypatch.setattr("pycaffe_lite.engines.onednn._momentum_step.MIN_COUNT", 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, no comparison with Caffe nor test of an engine is skipped, for whatever reason: that would be agreement
    unproved.
    """
    report = yield
    if report.skipped and shared_required() and {GOLDEN, ENGINES} & set(item.path.parents):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where PYCAFFE_LITE_REQUIRE_SHARED=1: {report.longrepr}"
    return report
