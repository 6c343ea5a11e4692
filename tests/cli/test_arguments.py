from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pycaffe_lite
from pycaffe_lite import _extras
from pycaffe_lite.cli import _arguments

from .conftest import Cli

HEAVY = (*_extras.EXTRAS, "pycaffe_lite.cli._watch")


def test_help_lists_every_verb(cli: Cli) -> None:
    result = cli("--help")
    assert result.status == 0
    for name in ("train", "test", "time", "convert-mnist", "demo"):
        assert f"  {name} " in result.out


def test_every_verb_keeps_the_convention(cli: Cli) -> None:
    for verb in _arguments.verbs():
        assert verb.HELP
        assert cli(verb.NAME, "--help").status == 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pycaffe_lite.cli import main; main(['--help']); "
        f"sys.exit(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"pycaffe-lite {pycaffe_lite.__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        ("train", "--solver", "s"),
        ("train", "--solver=s"),
        ("train", "-solver", "s"),
        ("train", "-solver=s"),
        ("--logtostderr", "train", "--solver", "s"),
        ("train", "-logtostderr=1", "-solver", "s", "--alsologtostderr"),
        ("train", "--nologtostderr", "--solver", "s", "--v=2", "--log_dir", "logs"),
    ],
)
def test_caffes_spellings(argv: tuple[str, ...]) -> None:
    assert _arguments.parse(argv).solver == "s"


@pytest.mark.parametrize(
    "argv",
    [
        ("--debug", "--minloglevel=2", "train", "--solver", "s"),
        ("train", "--solver", "s", "--minloglevel", "2", "--debug"),
    ],
)
def test_common_options_before_and_after_the_verb(argv: tuple[str, ...]) -> None:
    args = _arguments.parse(argv)
    assert args.debug
    assert args.minloglevel == 2


def test_common_options_have_defaults() -> None:
    args = _arguments.parse(["train", "--solver", "s"])
    assert (args.debug, args.minloglevel, args.log_dir) == (False, None, "")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "COMMAND"),
        (("trian",), "there is no command 'trian'. Did you mean 'train'?"),
        (("qqq", "--solver=s"), "there is no command 'qqq'. See --help."),
        (("train", "--solvr", "x"), "there is no option --solvr. Did you mean --solver?"),
        (("train", "-solvr=x", "--solver=s"), "there is no option --solvr. Did you mean --solver?"),
        (("summary", "--qqq", "x"), "there is no option --qqq. See --help."),
        (("run", "--debgu", "script.py", "--own"), "there is no option --debgu. Did you mean --debug?"),
        (("train",), "--solver"),
        (("train", "--solver", "s", "--snapshot", "x", "--weights", "y"), "not allowed with"),
        (("train", "--solver", "s", "--sigint_effect", "explode"), "explode"),
        (("time", "--model", "m", "--iterations", "0"), "'0' is not a whole number from 1 on"),
        (("time", "--model", "m", "--iterations", "few"), "few"),
        (("time", "--model", "m", "--phase", "TESTING"), "neither TRAIN nor TEST"),
        (("convert-mnist", "a", "b", "c", "--backend=oracle"), "oracle"),
        (("time", "--model", "m", "--minloglevel", "7"), "7"),
    ],
)
def test_a_wrong_command_line_is_status_2(cli: Cli, argv: tuple[str, ...], says: str) -> None:
    result = cli(*argv)
    assert result.status == 2
    assert says in result.err
    assert "Traceback" not in result.err


def test_a_scripts_own_options_are_its_own() -> None:
    assert _arguments.parse(["run", "--debug", "a.py", "--solvr", "x"]).script == ["a.py", "--solvr", "x"]


@pytest.mark.parametrize("own", [["--", "x"], ["--"], ["a", "--", "x", "--", "y"], []])
@pytest.mark.parametrize("flags", [[], ["--debug"], ["--"]])
def test_a_scripts_dashes_are_its_own(tmp_path: Path, cli: Cli, flags: list[str], own: list[str]) -> None:
    script = tmp_path / "a.py"
    script.write_text("import sys; print(sys.argv[1:])")
    assert cli("run", *flags, str(script), *own).out == f"{own}\n"  # as `python a.py ...`


def test_what_follows_two_dashes_is_left_alone() -> None:
    args = _arguments.parse(["convert-mnist", "--", "-images", "--labels=3", "db"])
    assert (args.images, args.labels, args.database) == ("-images", "--labels=3", "db")


@pytest.mark.parametrize("argv", [("summary", "net.prototxt"), ("time", "--model=net.prototxt", "--iterations=1")])
def test_every_verb_logs_into_a_folder(project: Path, cli: Cli, argv: tuple[str, ...]) -> None:
    result = cli(*argv, "--log_dir=.")
    assert ("Setting up ip1" in result.err) == (argv[0] == "time")
    assert Path("caffe.INFO").read_text().count("Setting up ip1") == 1
