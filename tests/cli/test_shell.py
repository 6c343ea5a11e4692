"""The shell, driven through a terminal as a person would."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.cli import shell
from pycaffe_lite.cli._complete import Completer
from tests.cli.conftest import Cli

pexpect = pytest.importorskip("pexpect", exc_type=ImportError)

Shell = Callable[..., Any]


@pytest.fixture
def terminal(project: Path) -> Iterator[Shell]:
    """Starts `pycaffe-lite shell ...` in a terminal of 100 columns, with the project folder as home."""
    started = []

    def start(*argv: str) -> Any:
        env = {
            **os.environ,
            "HOME": str(project),
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "NO_COLOR": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        child = pexpect.spawn(
            sys.executable,
            ["-m", "pycaffe_lite", "shell", *argv],
            env=env,
            encoding="utf-8",
            dimensions=(60, 100),
            timeout=30,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def finish(child: Any) -> int:
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus)


def test_plain_python_completes_and_remembers(terminal: Shell, project: Path) -> None:
    child = terminal("--plain", "net.prototxt")
    child.expect("small · TEST · 6 layers")
    child.expect("At hand: caffe, net, np, plot")
    child.expect(">>> ")
    child.sendline("len(net.blobs['ip2'].shape), caffe.TEST, np.pi")
    child.expect(r"\(2, 1, 3\.14")
    child.expect(">>> ")
    child.send("net.params['a_l\t")
    child.expect(r"ong_layer_name'\]")
    child.sendline("[0].count * 1000")
    child.expect("33000")
    child.expect(">>> ")
    child.sendline("net.blobs['ip3']")
    child.expect("Did you mean 'ip2'")
    child.expect(">>> ")
    child.sendeof()
    assert finish(child) == 0
    assert "33000" not in (history := (project / ".pycaffe_lite_history").read_text())
    assert "net.params['a_long_layer_name'][0].count * 1000" in history


def test_ipython_completes_names(terminal: Shell) -> None:
    pytest.importorskip("IPython")
    child = terminal("net.prototxt")
    child.expect("At hand: caffe, net, np, plot")
    child.expect(r"In .*\[.*1.*\]")
    child.send("net.params['a_l\t")
    child.expect("ong_layer_name")
    child.send("'][0].count * 1000\r")
    child.expect("33000")
    child.send("exit()\r")
    assert finish(child) == 0


def test_what_is_piped_in_is_run(project: Path, program: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    done = program("shell", "--plain", "net.prototxt", input="print(net.phase + 1000)\n")
    assert done.status == 0
    assert "1001" in done.out


def names_at_prompt(monkeypatch: pytest.MonkeyPatch, cli: Cli, *argv: str) -> tuple[dict[str, Any], str]:
    seen: dict[str, Any] = {}

    def prompt(names: dict[str, Any], banner: str) -> None:
        seen.update(names, banner=banner)

    monkeypatch.setattr(shell, "_plain", prompt)
    assert cli("shell", "--plain", *argv).status == 0
    return seen, seen.pop("banner")


def test_a_solver_is_at_hand_with_its_net(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    names, banner = names_at_prompt(monkeypatch, cli, "solver.prototxt")
    assert sorted(names) == ["caffe", "net", "np", "plot", "solver"]
    assert names["net"] is names["solver"].net
    assert "small · TRAIN" in banner
    assert "solver.step(1)" in banner


def test_a_solver_in_phase_test_gives_its_test_net(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    names, banner = names_at_prompt(monkeypatch, cli, "solver.prototxt", "--phase", "TEST")
    assert sorted(names) == ["caffe", "net", "np", "plot"]
    assert "small · TEST" in banner


def test_weights_are_loaded_and_named(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = caffe.Net("net.prototxt", caffe.TEST)
    saved.params["ip1"][1].data[...] = 17
    saved.save("w.caffemodel")
    names, banner = names_at_prompt(monkeypatch, cli, "net.prototxt", "w.caffemodel")
    assert (names["net"].params["ip1"][1].data == 17).all()
    assert "Weights of w.caffemodel\n  loaded   ip1, a_long_layer_name" in banner


def test_plain_python_stands_in_for_a_missing_ipython(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    called = []
    monkeypatch.setattr(shell, "_plain", lambda names, banner: called.append(banner))
    assert cli("shell", "net.prototxt").status == 0
    assert len(called) == 1


def test_a_solver_without_its_data_says_what_else_to_try(project: Path, cli: Cli) -> None:
    (project / "images_lmdb" / "data.mdb").unlink()
    assert cli("shell", "solver.prototxt").error.endswith("try its deploy file, or --phase TEST.")


class Thing:
    blobs: ClassVar[dict[object, object]] = {"conv1": 1, "conv-2/a": {"x": 3}, 5: 6}
    bias = "text"
    _hidden = 0


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("thing.b", ["thing.bias", "thing.blobs"]),
        ("thing._h", ["thing._hidden"]),
        ("thing.blobs['c", ["thing.blobs['conv1']", "thing.blobs['conv-2/a']"]),
        ('thing.blobs["conv1', ['thing.blobs["conv1"]']),
        ("thing.blobs[", ["thing.blobs['conv1']", "thing.blobs['conv-2/a']"]),
        ("thing.blobs['conv-2/a']['", ["thing.blobs['conv-2/a']['x']"]),
        ("a-thing.blobs['conv1", ["a-thing.blobs['conv1']"]),
        ("[thing.bias.removep", ["[thing.bias.removeprefix"]),
        ("many[1].blobs['conv1", ["many[1].blobs['conv1']"]),
        ("thi", ["thing"]),
        ("nothing.x", []),
        ("thing.bias['", []),
        ("", ["    "]),
    ],
)
def test_completion(text: str, matches: list[str]) -> None:
    completer = Completer({"thing": Thing(), "many": [0, Thing()]})
    assert completer.matches(text) == matches
    if matches:
        assert completer(text, 0) == matches[0]
        assert completer(text, len(matches)) is None


def test_completion_calls_nothing() -> None:
    called: list[int] = []
    assert Completer({"f": lambda: called.append(1)}).matches("f().a") == []
    assert called == []


def test_without_a_standard_input(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    result = cli("shell", "net.prototxt")
    assert (result.status, result.out) == (1, "")
    assert "There is no standard input" in result.error
