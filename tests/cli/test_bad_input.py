"""Whatever a user gets wrong: one clear line, status 1, no traceback, and nothing that is already saved is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.data.datum import array_to_datum, datum_to_array
from pycaffe_lite.data.lmdb import LMDBReader, LMDBWriter
from pycaffe_lite.proto.caffe_pb2 import Datum

from .conftest import SOLVER, Cli, Result

TRAIN = ("train", "--solver=solver.prototxt")
TEST = ("test", "--model=net.prototxt", "--weights=small_iter_10.caffemodel", "--iterations=3")
TIME = ("time", "--model=net.prototxt", "--iterations=1")
RESUME = (*TRAIN, "--snapshot=small_iter_10.solverstate")
CONVERT = ("convert-mnist", "images", "labels", "new_lmdb")


@pytest.fixture
def saved(project: Path, cli: Cli) -> Iterator[Path]:
    """The folder after a training to iteration 10, whose snapshot must outlive whatever the test does."""
    Path("solver.prototxt").write_text(SOLVER.replace("max_iter: 20", "max_iter: 10"))
    assert cli(*TRAIN).status == 0
    Path("solver.prototxt").write_text(SOLVER)
    before = {p: p.read_bytes() for p in project.glob("small_iter_10.*")}
    assert len(before) == 3
    yield project
    assert {p: p.read_bytes() for p in before} == before
    assert not list(project.glob("*.part")) + list(project.glob(".*.part"))


def change(file: str, old: str, new: str) -> None:
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new, 1))


def check(result: Result, *says: str) -> None:
    assert result.status == 1
    assert result.out == ""
    assert "Traceback" not in result.err
    for words in says:
        assert re.search(words, result.error), f"{words!r} is not in {result.error!r}"


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("train", "--solver=slover.prototxt"), [r"no file '.*/slover\.prototxt'", r"Did you mean 'solver\.prototxt'"]),
        (
            (*TRAIN, "--weights=small_iter_11.caffemodel"),
            [r"small_iter_11\.caffemodel'", r"Did you mean 'small_iter_10"],
        ),
        ((*TRAIN, "--snapshot=nowhere/x.solverstate"), [r"nowhere/x\.solverstate", "There is no folder"]),
        (
            ("test", "--model=nte.prototxt", "--weights=x"),
            [r"no file '.*nte\.prototxt'", r"Did you mean 'net\.prototxt'"],
        ),
        ((*TEST, "--weights=."), ["is a folder, not a file"]),
        (("time", "--model=."), ["is a folder, not a file"]),
        (CONVERT, ["'images'"]),
    ],
)
def test_a_missing_file(cli: Cli, argv: tuple[str, ...], says: list[str]) -> None:
    check(cli(*argv), *says)


@pytest.mark.usefixtures("saved")
def test_a_missing_net_of_a_solver(cli: Cli) -> None:
    change("solver.prototxt", '"net.prototxt"', '"nets.prototxt"')
    check(cli(*TRAIN), r"no file '.*nets\.prototxt'", r"solver\.prototxt:1:1", r"Did you mean 'net\.prototxt'")


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("argv", [TRAIN, TEST, TIME])
def test_a_missing_database(cli: Cli, argv: tuple[str, ...]) -> None:
    change("net.prototxt", "images_lmdb", "image_lmdb")
    check(cli(*argv), "no database 'image_lmdb'", "layer 'images' of type Data", r"net\.prototxt:\d+:\d+")


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "net.prototxt",
            "num_output: 11",
            "num_outptu: 11",
            ["num_outptu", r"net\.prototxt:9:25", "mean 'num_output'"],
        ),
        ("net.prototxt", "num_output: 11", 'num_output: "11"', [r"num_output", r"net\.prototxt:9:37"]),
        ("net.prototxt", "phase: TEST", "phase: TSET", [r"TSET", r"net\.prototxt:18:\d+", "Did you mean 'TEST'"]),
        ("net.prototxt", 'type: "Data"', 'type: "Data', [r"net\.prototxt:3:\d+"]),
        ("solver.prototxt", "base_lr:", "base_rl:", [r"base_rl", r"solver\.prototxt:4:1", "Did you mean 'base_lr'"]),
        ("solver.prototxt", "momentum: 0.9", "momentum: 0.9.1", [r"solver\.prototxt:5:\d+"]),
        (
            "solver.prototxt",
            'lr_policy: "fixed"',
            'lr_policy: "fixd"',
            ["'fixd'", r"solver\.prototxt:6:1", "mean 'fixed'"],
        ),
        (
            "solver.prototxt",
            "random_seed: 1",
            'type: "SDG"',
            ["'SDG'", r"solver\.prototxt:11:\d+", "Did you mean 'SGD'"],
        ),
        ("solver.prototxt", "test_interval: 10", "", ["test_interval"]),
    ],
)
def test_a_typo(cli: Cli, file: str, old: str, new: str, says: list[str]) -> None:
    change(file, old, new)
    check(cli(*TRAIN), *says)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("argv", [TRAIN, TEST, TIME])
def test_an_unknown_layer_type(cli: Cli, argv: tuple[str, ...]) -> None:
    change("net.prototxt", '"InnerProduct"', '"InnerPorduct"')
    check(cli(*argv), "Unknown layer type 'InnerPorduct'", r"'ip1'.*net\.prototxt:8:15", "Did you mean 'InnerProduct'")


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("argv", [TRAIN, TEST, TIME])
def test_a_missing_bottom(cli: Cli, argv: tuple[str, ...]) -> None:
    change("net.prototxt", 'bottom: "ip2"', 'bottom: "ip3"')
    change("net.prototxt", 'bottom: "ip2"', 'bottom: "ip3"')
    check(cli(*argv), "Unknown bottom blob 'ip3'", "layer '(accuracy|loss)'", r"net\.prototxt:\d+:\d+", "mean 'ip[12]'")


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("argv", [TEST, (*TRAIN, "--weights=small_iter_10.caffemodel"), RESUME])
def test_weights_of_another_shape(cli: Cli, argv: tuple[str, ...]) -> None:
    change("net.prototxt", "num_output: 11", "num_output: 13")
    check(cli(*argv), r"small_iter_10\.", r"\(13, 20\)", r"\(11, 20\)")


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("argv", [TEST, (*TRAIN, "--weights=small_iter_10.caffemodel")])
def test_weights_of_another_number_of_blobs(cli: Cli, argv: tuple[str, ...]) -> None:
    change("net.prototxt", "num_output: 11", "num_output: 11 bias_term: false")
    check(cli(*argv), "small_iter_10.caffemodel", "layer 'ip1'", "1 learnable blobs, the file has 2")


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1])
@pytest.mark.parametrize("argv", [TRAIN, TEST, TIME])
def test_a_label_out_of_range(cli: Cli, argv: tuple[str, ...], label: int) -> None:
    with LMDBReader("images_lmdb") as old, LMDBWriter("bad_lmdb") as new:
        for i, value in enumerate(old):
            datum = Datum.FromString(value)
            new.put(b"%08d" % i, value if i != 4 else array_to_datum(datum_to_array(datum), label).SerializeToString())
    change("net.prototxt", "images_lmdb", "bad_lmdb")
    check(cli(*argv), "[Ll]abel", "layer '(accuracy|loss)'", str(label) if abs(label) < 10 else r"2147483|2\.147")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("keep", [0, 1, 40, 0.5, -1])
def test_a_truncated_caffemodel(cli: Cli, keep: float) -> None:
    cli(*TRAIN)
    _cut("small_iter_10.caffemodel", keep)
    for argv in (TEST, (*TRAIN, "--weights=small_iter_10.caffemodel"), RESUME):
        check(cli(*argv), r"small_iter_10\.caffemodel")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
def test_a_truncated_solverstate(cli: Cli, keep: float) -> None:
    cli(*TRAIN)
    _cut("small_iter_10.solverstate", keep)
    check(cli(*RESUME), r"small_iter_10\.solverstate")


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(
    ("argv", "keep"), [(TRAIN, 0.5), (TEST, 0.5), (TIME, 0), (TIME, 100), (TIME, 4096), (TIME, -4096)]
)
def test_a_truncated_database(program: Cli, argv: tuple[str, ...], keep: float) -> None:
    _cut("images_lmdb/data.mdb", keep)
    check(program(*argv), "'images_lmdb'", "layer 'images' of type Data")  # in a process of its own: it must not crash


def _cut(file: str, keep: float) -> None:
    """Keep so many bytes, or, below 1, this share of them; negative: all but so many."""
    data = Path(file).read_bytes()
    Path(file).write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("train", "--solver=small_iter_10.caffemodel"), "small_iter_10.caffemodel is binary, and no SolverParameter"),
        (("time", "--model=small_iter_10.solverstate"), "small_iter_10.solverstate"),
        ((*TEST[:2], "--weights=net.prototxt"), "net.prototxt"),
        ((*TRAIN, "--snapshot=small_iter_10.caffemodel"), "small_iter_10.caffemodel"),
        (("train", "--solver=net.prototxt"), r"net\.prototxt:\d+:\d+"),
        (("time", "--model=solver.prototxt"), r"solver\.prototxt:\d+:\d+"),
        (("time", "--model=empty"), "empty"),
    ],
)
def test_a_file_of_another_kind(cli: Cli, argv: tuple[str, ...], says: str) -> None:
    Path("empty").touch()
    check(cli(*argv), says)


@pytest.mark.usefixtures("saved")
def test_a_snapshot_of_another_solver_type(cli: Cli) -> None:
    change("solver.prototxt", "random_seed: 1", 'type: "Adam"')
    check(cli(*RESUME), "4 history blobs, this solver has 8")


@pytest.mark.usefixtures("saved")
def test_no_folder_for_snapshots_is_found_before_training(cli: Cli) -> None:
    change("solver.prototxt", '"small"', '"nowhere/small"')
    result = cli(*TRAIN)
    check(result, "no folder .*/nowhere", r"solver\.prototxt:10:\d+")
    assert "Iteration 0" not in result.err


@pytest.mark.usefixtures("saved")
def test_a_net_larger_than_the_memory(cli: Cli) -> None:
    change("net.prototxt", "num_output: 11", "num_output: 2000000000")
    check(cli(*TRAIN), "layer 'ip1'", "GiB, this machine has")


def test_an_error_in_a_users_layer_says_where(project: Path, program: Cli) -> None:
    Path("mine.py").write_text(
        "import pycaffe_lite as caffe\nclass Bad(caffe.Layer):\n" "    def setup(self, bottom, top): 1 / 0\n"
    )
    change("net.prototxt", 'type: "ReLU"', 'type: "Python" python_param { module: "mine" layer: "Bad" }')
    check(program(*TRAIN), "ZeroDivisionError", r"mine\.py:3", "--debug")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors have no notes")
@pytest.mark.parametrize("method", ["setup", "reshape", "forward", "backward"])
def test_an_error_in_a_users_layer_says_in_which(project: Path, program: Cli, method: str) -> None:
    code = "import caffe\nclass Bad(caffe.Layer):\n"
    for name, arguments, body in (
        ("setup", "bottom, top", "pass"),
        ("reshape", "bottom, top", "top[0].reshape(*bottom[0].shape)"),
        ("forward", "bottom, top", "pass"),
        ("backward", "top, propagate_down, bottom", "pass"),
    ):
        code += f"    def {name}(self, {arguments}): {'1 / 0' if name == method else body}\n"
    Path("mine.py").write_text(code)
    change("net.prototxt", 'type: "ReLU"', 'type: "Python" python_param { module: "mine" layer: "Bad" }')
    check(
        program("train", "--solver=solver.prototxt"),
        r"^ZeroDivisionError: division by zero \(mine\.py:\d\)\. "
        rf"Raised in {method} \(layer 'relu1' of type Python, net\.prototxt:11:1\)\. Run again with --debug",
    )


def test_a_users_layer_may_import_caffe(project: Path, program: Cli) -> None:
    code = """import caffe
class Twice(caffe.Layer):
    def setup(self, bottom, top): pass
    def reshape(self, bottom, top): top[0].reshape(*bottom[0].data.shape)
    def forward(self, bottom, top): top[0].data[...] = 2 * bottom[0].data
    def backward(self, top, propagate_down, bottom): bottom[0].diff[...] = 2 * top[0].diff
"""
    Path("mine.py").write_text(code)
    change("net.prototxt", 'type: "ReLU"', 'type: "Python" python_param { module: "mine" layer: "Twice" }')
    assert program(*TIME).status == 0
    Path("mine.py").write_text(code.replace("(caffe.Layer):", "(caffe.Layer:"))
    check(program(*TIME), r"SyntaxError: .*\(mine\.py, line 2\)\. Run again")


def test_debug_shows_the_traceback(project: Path, program: Cli) -> None:
    result = program("--debug", "train", "--solver=nowhere")
    assert result.status == 1
    assert "Traceback" in result.err
    assert "MissingFileError: There is no file" in result.err


# A full disk.


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_no_room_for_a_snapshot(saved: Path) -> None:
    """No file may grow beyond what half a snapshot needs; a disk that fills up does the same to a write."""
    limit = (saved / "small_iter_10.caffemodel").stat().st_size // 2
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from pycaffe_lite.cli import main
sys.exit(main({[*RESUME]!r}))
"""
    result = _python(code)
    check(result, r"small_iter_20\.(caffemodel|solverstate)")
    assert not list(saved.glob("small_iter_20*"))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a disk of so many KiB, for those who may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
        try:
            done = subprocess.run(command, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no mount")
        if done.returncode:
            pytest.skip("mounting is not allowed here")
        return disk

    yield mount
    subprocess.run(["umount", str(disk)], capture_output=True)


def test_a_full_disk(saved: Path, cli: Cli, tiny_disk: Callable[[int], Path]) -> None:
    """The first snapshot fits, the second does not."""
    change("net.prototxt", "num_output: 11", "num_output: 300")  # 7,203 numbers: 28 KiB, twice for a snapshot
    disk = tiny_disk(80)
    change("solver.prototxt", '"small"', f'"{disk}/small"')
    result = cli(*TRAIN)
    check(result, r"Cannot write .*small_iter_20\.(caffemodel|solverstate)", "No space left", "MB are free there")
    ends = ("caffemodel", "solverstate", "solverstate.resume")
    assert sorted(p.name for p in disk.iterdir()) == [f"small_iter_10.{end}" for end in ends]
    net = caffe.Net("net.prototxt", caffe.TRAIN, weights=f"{disk}/small_iter_10.caffemodel")
    net.close()
    change("solver.prototxt", f'"{disk}/small"', '"other"')
    assert cli(*TRAIN, f"--snapshot={disk}/small_iter_10.solverstate").status == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(saved: Path, cli: Cli) -> None:
    locked = saved / "locked"
    locked.mkdir(0o500)
    change("solver.prototxt", '"small"', '"locked/small"')
    check(cli(*TRAIN), "Cannot write .*locked", "Change snapshot_prefix")


def _python(code: str) -> Result:
    path = os.pathsep.join([str(Path(caffe.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path}
    )
    return Result(done.returncode, done.stdout, done.stderr)
