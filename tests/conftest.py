"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


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
    if os.environ.get("PYCAFFE_LITE_REQUIRE_SHARED") == "1":
        pytest.fail(message)
    pytest.skip(message)
