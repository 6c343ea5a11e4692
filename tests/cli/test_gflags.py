"""What Caffe's scripts write on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite.cli._arguments import parse

from .conftest import Cli, messages

TRAIN = {
    "solver": "s.prototxt",
    "snapshot": "x.solverstate",
    "sigint_effect": "none",
    "sighup_effect": "stop",
    "level": 3,
    "stage": ["a", "b"],
    "gpu": "all",
}


@pytest.mark.parametrize("dash", ["-", "--"])
@pytest.mark.parametrize("between", ["=", " "])
@pytest.mark.parametrize("first", [True, False], ids=["verb first", "flags first"])
def test_all_flags_of_train(dash: str, between: str, first: bool) -> None:
    text = {**TRAIN, "level": "3", "stage": "a,b"}
    flags = [word for name, value in text.items() for word in f"{dash}{name}{between}{value}".split(" ")]
    args = parse(["train", *flags] if first else [*flags, "train"])
    assert {name: getattr(args, name) for name in TRAIN} == TRAIN


def test_weights_of_several_files() -> None:
    assert parse(["train", "--solver=s", "--weights=a.caffemodel,b.caffemodel"]).weights == [
        "a.caffemodel",
        "b.caffemodel",
    ]


def test_an_empty_flag_is_an_absent_one() -> None:
    args = parse(["train", "--solver=s", "--snapshot=", "--weights=a"])
    assert (args.snapshot, args.weights) == (None, ["a"])
    args = parse(["train", "--solver=s", "--weights", "", "--snapshot", "a"])
    assert (args.snapshot, args.weights) == ("a", None)


def test_a_verb_with_underscores() -> None:
    assert parse(["device_query", "-gpu", "0"]).gpu == "0"
    assert parse(["compute_image_mean", "db"]).database == "db"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--gray", True),
        ("-gray", True),
        ("--nogray", False),
        ("-nogray", False),
        ("--gray=true", True),
        ("--gray=1", True),
        ("-gray=T", True),
        ("--gray=false", False),
        ("--gray=0", False),
        ("--gray=no", False),
        ("--logtostderr", False),
    ],
)
def test_switches_take_no_argument_for_their_value(flag: str, value: bool) -> None:
    for argv in ([flag, "root/", "list", "db"], ["root/", "list", "db", flag], ["root/", flag, "list", "db"]):
        args = parse(["convert_imageset", *argv])
        assert (args.gray, args.root_folder, args.list, args.database) == (value, "root/", "list", "db")


def test_the_last_of_two_switches_counts() -> None:
    assert not parse(["convert-imageset", "--gray", "r", "l", "d", "--nogray"]).gray


def test_a_switch_that_is_neither_true_nor_false(cli: Cli) -> None:
    result = cli("convert-imageset", "--gray=maybe", "root/", "list", "db")
    assert result.status == 2
    assert "maybe" in result.err


def test_glogs_flags_are_taken() -> None:
    flags = "--logtostderr=1 -alsologtostderr --stderrthreshold=2 --v=1 -vmodule solver=2 --logbufsecs=0 --nolog_prefix"
    args = parse(["train", *flags.split(), "--solver=s", "--colorlogtostderr", "--max_log_size", "9"])
    assert args.solver == "s"


def test_a_flag_file(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("-level=5\n")
    (tmp_path / "flags.txt").write_text(
        f"# of ours\n--solver=s.prototxt\n\n  -stage=a,b\n--flagfile={tmp_path}/more.txt\n"
    )
    args = parse(["train", f"--flagfile={tmp_path}/flags.txt", "--gpu=0"])
    assert (args.solver, args.stage, args.level, args.gpu) == ("s.prototxt", ["a", "b"], 5, "0")


def test_a_flag_file_that_is_none(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "flags.txt").write_text("--solver=s\nlevel 5\n")
    result = cli("train", "-flagfile", f"{tmp_path}/flags.txt")
    assert result.status == 1
    assert "Line 2 of the flag file" in result.error
    assert "'level 5'" in result.error
    assert "There is no file" in cli("train", "--flagfile=none.txt").error


def test_a_flag_file_that_is_no_text_is_not_printed(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "a").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" * 1000)
    assert cli("train", f"--flagfile={tmp_path}/a").error.endswith("a is binary, and no flag file")
    (tmp_path / "a").write_text("abc " * 1000)
    assert len(cli("train", f"--flagfile={tmp_path}/a").error) < 300


def test_flag_files_in_a_circle(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "flags.txt").write_text(f"--flagfile={tmp_path}/flags.txt\n")
    assert "in a circle" in cli("train", f"--flagfile={tmp_path}/flags.txt").error


def test_flags_of_other_commands_are_taken_and_named(project: Path, cli: Cli) -> None:
    result = cli("time", "--model=net.prototxt", "--iterations=1", "--solver=x", "--weights=y", "--sighup_effect=stop")
    assert result.status == 0
    said = messages(result.err, "_arguments.py")
    assert [line.split()[0] for line in said] == ["--sighup_effect", "--solver", "--weights"]
    assert all("has no effect on this command" in line for line in said)


def test_a_gpu_is_declined_in_a_sentence(project: Path, cli: Cli) -> None:
    result = cli("time", "--model=net.prototxt", "--iterations=1", "--gpu=0")
    assert result.status == 0
    assert messages(result.err, "_mode.py") == ["There is no GPU engine: computing on the CPU"]


def test_what_follows_the_script_of_run_is_the_scripts() -> None:
    args = parse(["run", "-minloglevel=1", "script.py", "-solver", "x", "--", "-v=3"])
    assert (args.minloglevel, args.script) == (1, ["script.py", "-solver", "x", "--", "-v=3"])


def test_device_query(cli: Cli) -> None:
    result = cli("device_query", "-gpu=all")
    assert result.status == 0
    said = messages(result.err, "device_query.py")
    assert said[0].startswith("Device: CPU, ")
    assert [line.partition(":")[0] for line in said[1:]] == ["Cores", "Memory", "Computes with", "Threads"]
