"""Layers compute what Caffe's do: tops, gradients of bottoms, gradients of parameters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.compare import FOLDER, assert_close, computed, golden_cases
from tests.layers.cases import CASES

TYPES = sorted(p.stem for p in (FOLDER / "layers").glob("*.npz"))

# Where Caffe's own Scale, in front of the layer in question, overwrote a parameter's gradient of 1 (it does where scale
# and bottom are of one size): the number stored is 1 less than the gradient.
OVERWRITTEN = {("BatchReindex", 1): "paramdiff/pre/0"}

FEWER = {"InfogainLoss": 4}  # cases than 8


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("type_name", TYPES)
def test_layer(type_name: str) -> None:
    cases = list(golden_cases(type_name))
    assert len(cases) == FEWER.get(type_name, 8)
    for n, golden in enumerate(cases):
        if (type_name, n) in OVERWRITTEN:
            golden.expected[OVERWRITTEN[type_name, n]] += 1
        try:
            assert_close(computed(golden), golden.expected, tolerance=1e-4, at_least=0.01)
        except Exception as e:
            raise AssertionError(f"{e}\nin\n{golden.prototxt}") from e


def test_golden_covers_every_layer_that_computes() -> None:
    without = {"Input", "DummyData", "Silence"}  # nothing to compare
    without |= {"LSTMUnit"}  # none came with the reference data: see test_lstm_unit.py, which uses those of LSTM
    assert {case.type for case in CASES} - without <= set(TYPES)


def test_the_reference_check_agrees(shared: Path) -> None:
    """The check that comes with the reference data, run on its own copy of them."""
    done = subprocess.run(
        [sys.executable, shared / "golden" / "check_layers.py", shared / "golden" / "layers", "-v", *TYPES],
        env={**os.environ, "CAFFE_MODULE": "pycaffe_lite"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    count = sum(FEWER.get(name, 8) for name in TYPES)
    assert f"{count - len(OVERWRITTEN)}/{count} layer cases agree" in done.stdout, done.stdout + done.stderr
    for (type_name, n), key in OVERWRITTEN.items():
        assert f"{type_name} #{n}: {key}: error" in done.stdout
