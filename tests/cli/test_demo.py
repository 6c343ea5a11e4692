from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message

from pycaffe_lite.cli import _demo_files, demo
from pycaffe_lite.data.lmdb import LMDBReader
from pycaffe_lite.schema import read_net, read_solver

from .conftest import Cli


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Few digits; the current folder."""
    monkeypatch.setattr(_demo_files, "TRAIN_IMAGES", 200)
    monkeypatch.setattr(_demo_files, "TEST_IMAGES", 100)
    monkeypatch.setattr(_demo_files, "TEST_BATCHES", 1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_trains_and_names_commands_that_work(small: Path, cli: Cli) -> None:
    result = cli("demo", "--folder=my demo", "--iterations=4", "--seed=3")
    assert (result.status, result.err) == (0, "")
    assert re.findall(r"iteration +(\d+): +\d+\.\d% right, loss \d", result.out) == ["0", "1", "2", "3", "4"]
    assert "Its weights are in my demo/lenet_iter_4.caffemodel, the log is my demo/train.log." in result.out
    assert "] Optimization Done.\n" in (small / "my demo" / "train.log").read_text()
    commands = [shlex.split(line) for line in re.findall(r"^  (pycaffe-lite .*)$", result.out, re.MULTILINE)]
    assert [words[1] for words in commands] == ["summary", "shell", "test", "train"]
    for _, verb, *arguments in commands:
        if verb == "shell":
            assert all(Path(a).is_file() for a in arguments)
        else:
            assert cli(verb, *arguments).status == 0, verb


def test_the_files_are_the_models_with_paths_and_a_few_settings(small: Path, cli: Cli) -> None:
    assert cli("demo", "--iterations=4").status == 0
    model, folder = _demo_files.model_folder("lenet"), small / "demo"
    assert (folder / "lenet.prototxt").read_bytes() == (model / "lenet.prototxt").read_bytes()

    theirs, ours = read_net(model / "lenet_train_test.prototxt")[0], read_net(folder / "lenet_train_test.prototxt")[0]
    for layer in theirs.layer[:2]:
        phase = "train" if "train" in layer.data_param.source else "test"
        layer.data_param.source = str(folder / f"digits_{phase}_lmdb")
    assert ours == theirs

    solver, shown = read_solver(model / "lenet_solver.prototxt")[0], read_solver(folder / "lenet_solver.prototxt")[0]
    assert set(_changed(solver, shown)) == {
        "net",
        "max_iter",
        "snapshot",
        "test_iter",
        "test_interval",
        "display",
        "snapshot_prefix",
        "random_seed",
    }
    assert (shown.max_iter, shown.test_interval, shown.random_seed) == (4, 1, 1)


def _changed(a: Message, b: Message) -> list[str]:
    return [f.name for f in a.DESCRIPTOR.fields if getattr(a, f.name) != getattr(b, f.name)]


def test_the_seed_chooses_the_digits(small: Path, cli: Cli) -> None:
    def first(folder: str, seed: int) -> bytes:
        assert cli("demo", f"--folder={folder}", "--iterations=1", f"--seed={seed}").status == 0
        with LMDBReader(small / folder / "digits_train_lmdb") as db:
            return db.read(1)[0]

    assert first("a", 5) == first("b", 5) != first("c", 6)


def test_again_uses_the_files_that_are_there(small: Path, cli: Cli) -> None:
    assert cli("demo", "--iterations=4").status == 0
    solver = small / "demo" / "lenet_solver.prototxt"
    solver.write_text(solver.read_text().replace("max_iter: 4", "max_iter: 6"))
    result = cli("demo")
    assert result.status == 0
    assert "demo/lenet_solver.prototxt is there already and is used as it is." in result.out
    assert "Drawing" not in result.out
    assert (small / "demo" / "lenet_iter_6.caffemodel").exists()


@pytest.mark.parametrize("option", ["--iterations=9", "--seed=0"])
def test_settings_for_files_that_are_there_are_refused(small: Path, cli: Cli, option: str) -> None:
    assert cli("demo", "--iterations=1").status == 0
    result = cli("demo", option)
    assert result.status == 1
    assert "lenet_solver.prototxt is there already" in result.error


def test_an_interrupted_start_is_taken_up(small: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pycaffe_lite.data.digits._draw", interrupt)
        assert cli("demo", "--iterations=1").status == 130
    assert list((small / "demo").iterdir()) == []
    assert cli("demo", "--iterations=1").status == 0


def test_stopped_and_gone_on_with(small: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    import pycaffe_lite as caffe

    with monkeypatch.context() as patch:
        patch.setattr(caffe.SGDSolver, "_begin_update", lambda self: signal.raise_signal(signal.SIGINT))
        result = cli("demo", "--iterations=4")
    assert result.status == 0
    assert "are read right (at iteration 0)." in result.out
    found = re.search(r"# go on from where it stopped\n  pycaffe-lite (.*)\n", result.out)
    assert found is not None
    assert cli(*shlex.split(found[1])).status == 0
    assert (small / "demo" / "lenet_iter_4.caffemodel").exists()


def test_a_folder_that_cannot_be_made(small: Path, cli: Cli) -> None:
    (small / "demo").touch()
    result = cli("demo")
    assert result.status == 1
    assert "Cannot make the folder 'demo'" in result.error


@pytest.mark.slow
def test_learns_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("demo", "--iterations=100")
    right = [float(x) for x in re.findall(r"(\S+)% right", result.out)]
    assert right[-1] > 90
    assert np.all(np.array(right) <= 100)


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(demo.CaffeError, match="no model 'alexnet'"):
        _demo_files.model_folder("alexnet")


def test_readmes_example_runs_with_what_it_made(small: Path, cli: Cli) -> None:
    assert cli("demo", "--iterations=4").status == 0
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = next(b for b in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "make_digits" in b)
    names: dict[str, Any] = {}
    exec(code.replace("_800", "_4").replace("step(100)", "step(3)"), names)
    assert names["prob"].shape == (64, 10)
    assert {"lenet.svg", "demo"} <= {path.name for path in small.iterdir()}
    assert (small / "demo" / "lenet_iter_3.caffemodel").exists()
    names["net"].close()
    names["solver"].net.close()
    for net in names["solver"].test_nets:
        net.close()


@pytest.mark.parametrize("number", ["-1", "x", "9223372036854775808"])
def test_a_seed_that_is_none(small: Path, cli: Cli, number: str) -> None:
    result = cli("demo", f"--seed={number}")
    assert result.status == 2
    assert f"'{number}' is not a whole number from 0 to" in result.err
    assert not list(small.iterdir())


def test_a_folder_that_cannot_be_written_in(small: Path, cli: Cli) -> None:
    (small / "demo" / "train.log").mkdir(parents=True)
    result = cli("demo")
    assert (result.status, result.out) == (1, "")
    assert "Cannot write" in result.error
