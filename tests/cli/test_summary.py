from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.schema import read_net
from tests.cli.conftest import NET, Cli

# 5 x 4 images, 11 and 3 outputs
PARAMETERS = 11 * 20 + 11 + 3 * 11 + 3


def test_a_network_in_phase_test_by_default(project: Path, cli: Cli) -> None:
    done = cli("summary", "net.prototxt")
    assert done.status == 0
    assert done.out.startswith(f"small · TEST · 6 layers · {PARAMETERS} parameters\n")
    assert "accuracy" in done.out
    assert done.err == ""


def test_phase_level_and_stage_select_layers(project: Path, cli: Cli) -> None:
    staged = NET.replace("include { phase: TEST }", 'include { phase: TEST stage: "score" min_level: 2 }')
    Path("net.prototxt").write_text(staged)
    assert "accuracy" not in cli("summary", "net.prototxt").out
    assert "accuracy" in cli("summary", "net.prototxt", "--stage", "other,score", "--level", "2").out
    assert "TRAIN" in cli("summary", "net.prototxt", "--phase", "train", "--stage", "score").out


def test_a_solver_shows_what_it_trains_or_tests(project: Path, cli: Cli) -> None:
    trained = cli("summary", "solver.prototxt").out
    assert trained.startswith("small · TRAIN · 5 layers")
    assert cli("summary", "solver.prototxt", "--phase", "TEST").out.startswith("small · TEST · 6 layers")
    Path("solver.prototxt").write_text('train_net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed"')
    done = cli("summary", "solver.prototxt", "--phase", "TEST")
    assert (done.status, done.error) == (
        1,
        "The solver solver.prototxt tests no net. See what it trains with --phase TRAIN.",
    )


def test_weights_are_compared_with_the_net(project: Path, cli: Cli) -> None:
    caffe.Net("net.prototxt", caffe.TEST).save("all.caffemodel")
    Path("other.prototxt").write_text(NET.replace("a_long_layer_name", "new"))
    done = cli("summary", "other.prototxt", "all.caffemodel")
    source, loaded, kept, ignored = done.out.splitlines()[-4:]
    assert source == "Weights of all.caffemodel"
    assert loaded == "  loaded   ip1"
    assert kept == "  kept     new (not in the file, as filled)"
    assert ignored.startswith("  ignored  a_long_layer_name")


def test_long_lists_of_layers_are_cut(project: Path, cli: Cli) -> None:
    caffe.Net("net.prototxt", caffe.TEST).save("few.caffemodel")
    message, _ = read_net("net.prototxt")
    for i in range(12):
        layer = message.layer.add()
        layer.CopyFrom(message.layer[1])
        layer.name, layer.top[0] = f"extra{i}", f"extra{i}"
    Path("more.prototxt").write_text(str(message))
    kept = cli("summary", "more.prototxt", "few.caffemodel").out.splitlines()[-1]
    assert kept.endswith("extra6, extra7 and 4 more (not in the file, as filled)")


def test_missing_data_say_what_else_to_look_at(project: Path, cli: Cli) -> None:
    shutil.rmtree("images_lmdb")
    done = cli("summary", "net.prototxt")
    assert done.status == 1
    assert done.error.startswith("There is no database 'images_lmdb' (layer 'images' of type Data")
    assert done.error.endswith("try its deploy file, or --phase TRAIN.")
    assert cli("summary", "solver.prototxt").error.endswith("try its deploy file, or --phase TEST.")


def test_a_missing_file_has_no_hint_about_data(cli: Cli) -> None:
    assert "deploy" not in cli("summary", "nowhere.prototxt").error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name: "n"\nlayer { name: "a" typ: "ReLU" }', "typ"),  # a network until line 2
        ('net: "n.prototxt"\nbase_lr: 0.1\nmomentun: 1', "momentun"),  # a solver until line 3
    ],
)
def test_a_file_with_a_typo_is_taken_for_what_it_resembles(project: Path, cli: Cli, text: str, message: str) -> None:
    Path("typo.prototxt").write_text(text)
    error = cli("summary", "typo.prototxt").error
    assert f"'{message}'" in error
    assert f"typo.prototxt:{text.count(chr(10)) + 1}:" in error


def test_only_a_terminal_limits_the_width(project: Path, program: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = program("summary", "net.prototxt")
    assert done.status == 0
    assert "bottom" in done.out
