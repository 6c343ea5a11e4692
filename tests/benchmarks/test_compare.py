"""The comparison runs with whoever is installed, and becomes a table; rivals are checked where they are installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.conftest import CHECKOUT

BENCHMARKS = CHECKOUT / "benchmarks"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a short run of the smallest net, with numpy alone."""
    path = tmp_path_factory.mktemp("results") / "compare.json"
    command = [sys.executable, str(BENCHMARKS / "compare.py"), "and_gate", "--only", "numpy", "--output", str(path)]
    subprocess.run([*command, "--threads", "1", "--budget", "0", "--rounds", "2"], check=True)
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _module("table", monkeypatch)


def _module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__(name, fromlist=["*"])


def test_what_a_run_measures(result: dict[str, Any]) -> None:
    measured = {(m["mode"], m["batch"]): m for m in result["measurements"]}
    assert measured.keys() == {("train", 4), ("infer", 1), ("infer", 4)}
    # Forward 6 for each item; the gradients of the weights as many, of what is between the two layers 2.
    assert [m["gflop"] * 1e9 / 2 for m in measured.values()] == pytest.approx([4 * (6 + 6 + 2), 6, 24])
    for m in measured.values():
        (contender,) = m["contenders"].values()
        assert m["rounds"] == 2
        assert 0 < contender["best_ms"] <= contender["ms"]
        assert 20 < contender["peak_mb"] < 1000
        assert m["sgemm_gflops"] * m["limit_ms"] * 1e6 == pytest.approx(m["gflop"] * 1e9, rel=0.01)


def test_tables(result: dict[str, Any], table: ModuleType) -> None:
    text = table.tables(result)
    titles = [line.split(" | ")[0] for line in text.splitlines() if line.endswith("peak MB | PyTorch's |")]
    assert titles == ["| a training step", "| use, one item", "| use, a batch"]
    rows = [line for line in text.splitlines() if line.startswith("| and_gate")]
    assert [row.split(" | ")[1] for row in rows] == ["4", "1", "4"]


def test_rows_have_both_numbers_of_threads_and_gaps(table: ModuleType) -> None:
    def measured(threads: int, **ms: float) -> dict[str, Any]:
        contenders = {name: {"ms": value, "of_limit": 0.5, "peak_mb": 100} for name, value in ms.items()}
        ratios = {"onednn / pytorch": ms["pytorch"] / ms["onednn"]} if "pytorch" in ms else {}
        common = {"net": "lenet", "mode": "train", "batch": 64, "threads": threads}
        return {**common, "contenders": contenders, "times_as_fast": ratios}

    text = table._table("a training step", [measured(1, onednn=10, pytorch=25), measured(2, onednn=8)])
    assert text.splitlines()[-1] == (
        "| lenet | 64 | 10.0 / 8.00 | 25.0 / - | 2.50 / - | 50 % / 50 % | 100 / 100 | 100 / - |"
    )


def test_readme(result: dict[str, Any], table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "README", tmp_path / "README.md")
    monkeypatch.setattr(table, "RESULT", tmp_path / "compare.json")
    table.RESULT.write_text(json.dumps(result), encoding="utf-8")
    table.README.write_text("Nothing", encoding="utf-8")
    assert not table.write()
    table.README.write_text(f"Before\n{table.BEGIN}old\n{table.END}after\n", encoding="utf-8")
    assert table.write()
    expected = f"Before\n{table.BEGIN}{table.tables(result)}{table.END}after\n"
    assert table.README.read_text(encoding="utf-8") == expected


def test_other_results_are_no_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    agreement = _module("contenders.agreement", monkeypatch)

    class Fake:
        variant = ""

        def __init__(self, name: str, output: list[float]) -> None:
            self.name, self._output = name, np.array(output)

        def results(self) -> dict[str, Any]:
            return {"output": self._output}

    agreement.check_outputs([Fake("numpy", [1, 2]), Fake("torch", [1, 2.0001])])
    with pytest.raises(agreement.Disagreement, match="torch differs from that of numpy"):
        agreement.check_outputs([Fake("numpy", [1, 2]), Fake("torch", [1, 2.01])])
    with pytest.raises(agreement.Disagreement):
        agreement.check_outputs([Fake("numpy", [1, 2]), Fake("torch", [1, float("nan")])])


def test_rivals_refuse_what_they_would_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = _module("contenders.fields", monkeypatch)
    layer = {"name": "pool", "type": "Pooling", "bottom": ["a"], "top": ["b"]}
    assert fields.pooling({**layer, "pooling_param": {"kernel_size": 3, "pool": "AVE"}}) == ("AVE", (3, 1, 0))
    with pytest.raises(NotImplementedError, match="round_mode"):
        fields.pooling({**layer, "pooling_param": {"kernel_size": 3, "round_mode": "FLOOR"}})
    with pytest.raises(NotImplementedError, match="relu_param"):
        fields.plain({**layer, "relu_param": {"negative_slope": 0.1}})
