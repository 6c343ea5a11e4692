"""The same examples in every run, and memory that a typo soon exceeds.

PYCAFFE_LITE_EXAMPLES=2000 tries that many examples, other ones each time, of each property.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pycaffe_lite import memory
from tests.properties.guard import LIMIT

_EXAMPLES = os.environ.get("PYCAFFE_LITE_EXAMPLES")
settings.register_profile(
    "properties",
    max_examples=int(_EXAMPLES or 40),
    derandomize=_EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("properties")


@pytest.fixture(autouse=True, scope="module")
def little_memory() -> Iterator[None]:
    """Nets may take LIMIT, and the process a GiB more than it has: more than the machine has, for a typo."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "memory_limit", lambda: LIMIT)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, before[1]))
        yield
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder, the current one meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("folder")
        patch.chdir(folder)
        yield folder
