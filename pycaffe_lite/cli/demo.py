"""demo: LeNet learns to read digits, without a network and without a data set to download."""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pycaffe_lite import glog
from pycaffe_lite.cli._arguments import positive, seed
from pycaffe_lite.cli._live import LiveLine, bar
from pycaffe_lite.cli.train import command, in_words, train
from pycaffe_lite.errors import CaffeError

if TYPE_CHECKING:
    from pycaffe_lite.cli._watch import Record
    from pycaffe_lite.solvers import Solver

NAME = "demo"
HELP = "train LeNet on built-in digits in a minute, without downloading anything"

_ITERATIONS, _SEED = 800, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", default="demo", metavar="DIR", help="where its files go (default: demo)")
    parser.add_argument("--iterations", type=positive, metavar="N", help=f"how long to train (default {_ITERATIONS})")
    parser.add_argument("--seed", type=seed, metavar="N", help=f"for the digits and the training (default {_SEED})")


def run(args: argparse.Namespace) -> int:
    """Draw the digits, write LeNet's files, train, and say what to do with them. Files that are there are used."""
    from pycaffe_lite._files import check_writable
    from pycaffe_lite.cli import _demo_files as files
    from pycaffe_lite.solvers import get_solver

    folder = Path(args.folder)
    solver_file = str(folder / files.SOLVER)
    old = os.path.exists(solver_file)
    if old and (args.iterations or args.seed is not None):
        raise CaffeError(
            f"{solver_file} is there already, --iterations and --seed are for a new one",
            hint="Change max_iter and random_seed in it, or give another --folder.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise CaffeError(f"Cannot make the folder '{folder}': {e.strerror}", hint="Give another --folder.") from e
    check_writable(folder / "train.log")
    number = _SEED if args.seed is None else args.seed
    with LiveLine() as line:
        databases = _digits(folder, number, line)
        if old:
            print(f"{solver_file} is there already and is used as it is.")
        else:
            files.write_demo_files(folder, databases, args.iterations or _ITERATIONS, number)
        with _log_to(folder / "train.log"):
            solver = get_solver(solver_file)
            print(f"Training LeNet for {solver.param.max_iter} iterations. Ctrl-C stops it.")
            record = train(solver, line, tested=_tested)
    print(_closing(folder, record, solver))
    return 0


def _digits(folder: Path, seed: int, line: LiveLine) -> list[Path]:
    """The databases of digits in `folder`, made unless both are there."""
    from pycaffe_lite.cli._demo_files import TEST_IMAGES, TRAIN_IMAGES
    from pycaffe_lite.data.digits import write_digits_lmdb

    databases = [folder / "digits_train_lmdb", folder / "digits_test_lmdb"]
    if not all(database.exists() for database in databases):
        print(f"Drawing {TRAIN_IMAGES:,} digits to learn from, and {TEST_IMAGES:,} others to test with.")
        # An interrupted run leaves none, rather than half of them.
        with tempfile.TemporaryDirectory(dir=folder) as part:
            made = write_digits_lmdb(
                part,
                TRAIN_IMAGES,
                TEST_IMAGES,
                seed,
                lambda done, total: line.show(f"{bar(done / total, 30)} {done:,} of {total:,} digits"),
            )
            for path, database in zip(made, databases, strict=True):
                if not database.exists():
                    os.rename(path, database)
    return databases


def _tested(record: Record) -> None:
    scores = dict(record.scores)
    accuracy = f"{scores.pop('accuracy'):6.1%} right, " if "accuracy" in scores else ""
    print(f"  iteration {record.tested_at:>4}: {accuracy}{in_words(scores)}")


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Let Caffe's log go to a file."""
    logger = logging.getLogger("pycaffe_lite")
    handler = glog.LogFile(path, "w")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


def _closing(folder: Path, record: Record, trained: Solver) -> str:
    """What came of it, and commands that go on from there."""
    from pycaffe_lite.cli._demo_files import DEPLOY, NET, SOLVER, TEST_BATCHES, TEST_IMAGES

    deploy, net, solver = str(folder / DEPLOY), str(folder / NET), str(folder / SOLVER)
    weights, state = _short(record.weights), _short(record.state)
    lines = []
    if "accuracy" in record.scores:
        when = "" if record.tested_at == trained.iter else f" (at iteration {record.tested_at})"
        lines += [f"{record.scores['accuracy']:.1%} of {TEST_IMAGES:,} digits it has never seen are read right{when}."]
    lines += [f"Its weights are in {weights}, the log is {folder / 'train.log'}.", "", "What next? Copy a line:", ""]
    nexts = [
        ("see what it is made of", command("summary", deploy, weights)),
        ("look inside, at a Python prompt", command("shell", deploy, weights)),
        ("test it again", command("test", f"--model={net}", f"--weights={weights}", f"--iterations={TEST_BATCHES}")),
        (f"train again: change {solver} first", command("train", f"--solver={solver}")),
    ]
    if trained.stopped:
        nexts.insert(0, ("go on from where it stopped", command("train", f"--solver={solver}", f"--snapshot={state}")))
    for what, words in nexts:
        lines += [f"  # {what}", f"  {words}"]
    return "\n".join(lines)


def _short(path: str) -> str:
    """The path from the current folder, if it is in there."""
    current = os.getcwd() + os.sep
    return path.removeprefix(current)
