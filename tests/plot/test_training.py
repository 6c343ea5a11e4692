from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from pycaffe_lite import plot
from pycaffe_lite.errors import DataError, ParameterError

pytest.importorskip("matplotlib")

LOG = """I0101 00:00:00.000000 1 s.py:1] Solving small
I0101 00:00:00.500000 1 s.py:1] Iteration 0, Testing net (#0)
I0101 00:00:00.500000 1 s.py:1]     Test net output #0: top1 = 0.1
I0101 00:00:00.500000 1 s.py:1]     Test net output #1: loss = 2.5 (* 1 = 2.5 loss)
I0101 00:00:00.500000 1 s.py:1]     Test net output #2: top5 = 0.3
I0101 00:00:01.000000 1 s.py:1] Iteration 0 (2 iter/s, 2.5s/5 iters), loss = 2.75
I0101 00:00:01.000000 1 s.py:1] Iteration 0, lr = 0.1
I0101 00:00:03.000000 1 s.py:1] Iteration 20 (2 iter/s, 2.5s/5 iters), loss = 1.25
I0101 00:00:03.000000 1 s.py:1] Iteration 20, lr = 0.01
I0101 00:00:04.000000 1 s.py:1] Iteration 30, Testing net (#0)
I0101 00:00:04.000000 1 s.py:1]     Test net output #0: top1 = 0.4
I0101 00:00:04.000000 1 s.py:1]     Test net output #1: loss = 1.5 (* 1 = 1.5 loss)
I0101 00:00:04.000000 1 s.py:1]     Test net output #2: top5 = 0.9
"""

EXPECTED: dict[int, dict[str, list[tuple[float, float]]]] = {
    0: {"small: top1": [(0, 0.1), (30, 0.4)], "small: top5": [(0, 0.3), (30, 0.9)]},
    1: {"small: top1": [(0.5, 0.1), (4, 0.4)], "small: top5": [(0.5, 0.3), (4, 0.9)]},
    2: {"small": [(0, 2.5), (30, 1.5)]},
    3: {"small": [(0.5, 2.5), (4, 1.5)]},
    4: {"small": [(0, 0.1), (20, 0.01)]},
    5: {"small": [(1, 0.1), (3, 0.01)]},
    6: {"small": [(0, 2.75), (20, 1.25)]},
    7: {"small": [(1, 2.75), (3, 1.25)]},
}


def curves(figure: Any) -> dict[str, list[tuple[float, float]]]:
    return {line.get_label(): list(map(tuple, line.get_xydata().tolist())) for line in figure.axes[0].lines}


@pytest.mark.parametrize("chart", range(8))
def test_the_eight_charts(chart: int, tmp_path: Path) -> None:
    (tmp_path / "small.log").write_text(LOG)
    figure = plot.training(chart, tmp_path / "small.log")
    assert curves(figure) == EXPECTED[chart]
    what, over = plot.CHARTS[chart]
    axes = figure.axes[0]
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (f"{what} vs. {over}", over, what)


def test_several_logs(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.log", "b.log", "x/b.log")]
    paths[2].parent.mkdir()
    for path in paths:
        path.write_text(LOG)
    assert list(curves(plot.training(6, paths[:2]))) == ["a", "b"]
    assert list(curves(plot.training(6, paths))) == [str(path) for path in paths]


def test_what_cannot_be_plotted_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("I0101 00:00:01.0 1 s.py:1] Iteration 0, loss = 2.75\n")
    with pytest.raises(DataError, match=r"x\.log has no train learning rate"):
        plot.training(4, tmp_path / "x.log")
    with pytest.raises(ParameterError, match="no chart 8.*7: Train loss vs. Seconds"):
        plot.training(8, tmp_path / "x.log")


def test_the_legend_has_names_as_they_are(tmp_path: Path) -> None:
    names = ["_a.log", "b$x_1^$.log", "c$.log"]
    for name in names:
        (tmp_path / name).write_text(LOG)
    figure = plot.training(6, [tmp_path / name for name in names])
    figure.savefig(io.BytesIO())
    legend = figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["_a", "b$x_1^$", "c$"]


def test_a_single_point_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n".join(line for line in LOG.splitlines() if "Iteration 20" not in line))
    (line,) = plot.training(6, tmp_path / "a.log").axes[0].lines
    assert (len(line.get_xdata()), line.get_marker()) == (1, "o")
