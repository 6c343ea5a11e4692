"""Every layer of the package keeps the contract, in every case of the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite import layer_type_list
from pycaffe_lite.testing import CHECKS, LayerCase
from tests.layers.cases import CASES, ELSEWHERE, ELSEWHERE_CASES


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_contract(case: LayerCase, check: str) -> None:
    CHECKS[check](case)


@pytest.mark.parametrize("check", ["constraints", "arity"])
@pytest.mark.parametrize("case", ELSEWHERE_CASES, ids=str)
def test_refusals_of_layers_tested_elsewhere(case: LayerCase, check: str) -> None:
    CHECKS[check](case)


def test_every_layer_has_a_case() -> None:
    """Whoever registers a layer adds it to the table, or names the test file that is the evidence for it."""
    assert set(layer_type_list()) == {case.type for case in CASES} | set(ELSEWHERE)
    for file in ELSEWHERE.values():
        assert "def test_" in (Path(__file__).parent / file).read_text()


def test_cases_differ() -> None:
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names)
