from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli


def test_draws_what_the_arguments_say(project: Path, cli: Cli) -> None:
    done = cli("draw", "net.prototxt", "net.svg", "--rankdir=TB", "--phase=train", "--display_lrm")
    assert (done.status, done.out) == (0, "Drew net.prototxt to net.svg\n")
    svg = Path("net.svg").read_text()
    assert ">lr mult: 1.0, 1.0<" in svg
    assert ">accuracy<" not in svg
    size = svg.split('viewBox="0 0 ')[1].split('"')[0].split()
    assert float(size[1]) > 2 * float(size[0])


def test_defaults_are_caffes(project: Path, cli: Cli) -> None:
    assert cli("draw", "net.prototxt", "net.svg").status == 0
    svg = Path("net.svg").read_text()
    assert ">accuracy<" in svg
    assert "lr mult" not in svg
    size = svg.split('viewBox="0 0 ')[1].split('"')[0].split()
    assert float(size[0]) > 2 * float(size[1])


def test_what_is_wrong_is_said(project: Path, cli: Cli) -> None:
    assert "Did you mean 'net.prototxt'" in cli("draw", "ned.prototxt", "net.svg").error
    assert "has no ending" in cli("draw", "net.prototxt", "net").error
    assert cli("draw", "net.prototxt", "net.svg", "--rankdir=XY").status == 2
