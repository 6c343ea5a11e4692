from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli

pytest.importorskip("matplotlib")

LOG = """I0101 00:00:00.000000 1 s.py:1] Solving small
I0101 00:00:01.000000 1 s.py:1] Iteration 5 (2 iter/s, 2.5s/5 iters), loss = 2
I0101 00:00:02.000000 1 s.py:1] Iteration 10, loss = 1
"""


def test_plots_logs_in_the_scripts_order_of_arguments(project: Path, cli: Cli) -> None:
    for name in ("a.log", "b.log"):
        Path(name).write_text(LOG)
    done = cli("plot-log", "6", "out.svg", "a.log", "b.log")
    assert (done.status, done.out) == (0, "Plotted a.log, b.log to out.svg\n")
    assert Path("out.svg").read_text().startswith("<?xml")
    assert cli("plot-log", "7", "out.png", "a.log").status == 0
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_wrong_is_said(project: Path, cli: Cli) -> None:
    Path("a.log").write_text(LOG)
    assert "a.log has no test accuracy" in cli("plot-log", "0", "out.png", "a.log").error
    assert "not written as 'out.xyz'" in cli("plot-log", "6", "out.xyz", "a.log").error
    assert cli("plot-log", "8", "out.png", "a.log").status == 2
    assert not list(Path().glob("out*"))
