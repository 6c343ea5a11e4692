"""README's table of layers, which tools/layers_table.py writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.testing import Bench
from tests.layers.cases import CASES

SCRIPT = Path(__file__).parent.parent / "tools" / "layers_table.py"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which writes to a copy of README.md."""
    spec = importlib.util.spec_from_file_location("layers_table", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "README.md").write_bytes(module.README.read_bytes())
    monkeypatch.setattr(module, "README", tmp_path / "README.md")
    return module


def test_readme_is_up_to_date(tool: ModuleType) -> None:
    assert tool.main(["--check"]) == 0


def test_a_stale_table_is_found_and_written_anew(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    good = tool.README.read_text(encoding="utf-8")
    tool.README.write_text(good.replace("| [Softmax]", "| [Hardmax]"), encoding="utf-8")
    assert tool.main(["--check"]) == 1
    assert "stale" in capsys.readouterr().out
    assert tool.README.read_text(encoding="utf-8") != good
    assert tool.main([]) == 0
    assert tool.README.read_text(encoding="utf-8") == good


def test_a_readme_without_the_place_for_it(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    tool.README.write_text("Nothing", encoding="utf-8")
    assert tool.main([]) == 1
    assert "README.md lacks the lines" in capsys.readouterr().out


def test_rows(tool: ModuleType) -> None:
    rows = [line.split(" | ") for line in tool.table().splitlines() if line.startswith("| [")]
    assert [row[0].partition("](")[0].removeprefix("| [") for row in rows] == caffe.layer_type_list()
    by_type = {row[0].partition("](")[0].removeprefix("| ["): row for row in rows}
    assert by_type["ReLU"] == [
        "| [ReLU](pycaffe_lite/layers/relu.py)",
        "y = max(x, 0) + negative_slope · min(x, 0)",
        *("1", "1", "", "yes", "yes |"),
    ]
    assert by_type["Convolution"][2:4] == ["at least 1", "as bottoms"]
    assert by_type["AbsVal"][1] == r"y = \|x\|"
    for row in rows:
        assert row[1]
        assert (SCRIPT.parent.parent / row[0].partition("](")[2].rstrip(")")).is_file()


def test_blobs_are_named_where_there_are_any(tool: ModuleType) -> None:
    learning = {case.type for case in CASES if len(Bench(case).layer.blobs)}
    assert {name for name in caffe.layer_type_list() if tool.blobs(name)} == learning
