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
        assert 0 < m["limit_best_ms"] <= m["limit_ms"]
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


def test_readme(result: dict[str, Any], table: ModuleType, tmp_path: Path) -> None:
    made, readme = table.tables(result), tmp_path / "README.md"
    readme.write_text("Nothing", encoding="utf-8")
    assert not table.write(readme, made)
    readme.write_text(f"Before\n{table.BEGIN}old\n{table.END}after\n", encoding="utf-8")
    assert table.write(readme, made)
    assert readme.read_text(encoding="utf-8") == f"Before\n{table.BEGIN}{made}{table.END}after\n"


def test_what_falls_short_of_the_aims(monkeypatch: pytest.MonkeyPatch) -> None:
    aims = _module("aims", monkeypatch)

    def measured(net: str, mode: str, batch: int, threads: int, of_limit: float, **ratios: float) -> dict[str, Any]:
        best = {"onednn": 10, "numpy": 20, "pytorch": 21, "opencv": 9, "onnxruntime": 11}
        contenders = {name: {"of_limit": of_limit, "best_ms": ms} for name, ms in best.items()}
        times = {f"onednn / {rival}": ratio for rival, ratio in ratios.items()}
        what = {"net": net, "mode": mode, "batch": batch, "threads": threads, "limit_best_ms": 8}
        return {**what, "contenders": contenders, "times_as_fast": times}

    text = aims.table(
        [
            measured("lenet", "train", 64, 1, 0.57, pytorch=2.1),
            measured("lenet", "train", 64, 2, 0.61, pytorch=1.9),
            measured("lenet", "train", 1, 1, 0.1, pytorch=2.9),
            measured("vgg16", "train", 4, 1, 0.79, pytorch=1.19),
            measured("vgg16", "train", 4, 2, 0.81, pytorch=1.01),
            measured("vgg16", "infer", 1, 1, 0.5, pytorch=1.2, opencv=0.99, onnxruntime=1.0),
            measured("lenet", "passes", 64, 1, 0.4),
            measured("lenet", "passes", 64, 2, 0.1),
            measured("googlenet", "passes", 10, 1, 0.6),
        ]
    )
    first, _, *lines = text.splitlines()
    assert first == "6 of 12 figures reach their aim. The others, in bold:"
    assert lines[2:] == [
        "| lenet | training | 64 | times as fast as PyTorch | 2.10 / **1.90** | 2.10 / 2.10 | 2.0 |",
        "| lenet | training | 64 | of SGEMM's rate | **0.57** / 0.61 | 0.80 / 0.80 | 0.6 |",
        "| lenet | training | 1 | times as fast as PyTorch | **2.90** | 2.10 | 3.0 |",
        "| vgg16 | training | 4 | times as fast as PyTorch | **1.19** / 1.01 | 2.10 / 2.10 | 1.2 / 1.0 |",
        "| vgg16 | use | 1 | times as fast as OpenCV | **0.99** | 0.90 | 1.0 |",
        "| lenet | both passes | 64 | numpy, times its arithmetic | **2.50** | 2.50 | 2.1 |",
    ]


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
