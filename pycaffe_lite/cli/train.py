"""train: a solver's file, from the beginning, from weights or from a snapshot, to its end or to Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from pycaffe_lite.cli._arguments import (
    PROGRAM,
    add_net_arguments,
    add_unused,
    comma_separated,
    start_log,
    use_devices,
)
from pycaffe_lite.cli._engine import log_engine
from pycaffe_lite.cli._live import LiveLine, clock

if TYPE_CHECKING:
    from pycaffe_lite.cli._watch import Record
    from pycaffe_lite.solvers import Solver

NAME = "train"
HELP = "train a network, or go on training one"

_EFFECTS = ("stop", "snapshot", "none")

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--solver", required=True, metavar="PROTOTXT", help="the solver's file")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--snapshot", type=_name, metavar="SOLVERSTATE", help="go on from this snapshot")
    begin.add_argument("--weights", type=_names, metavar="A,B", help="begin with the weights in these files")
    parser.add_argument(
        "--sigint_effect",
        choices=_EFFECTS,
        default="stop",
        metavar="EFFECT",
        help="what Ctrl-C does: stop (default), snapshot or none",
    )
    parser.add_argument(
        "--sighup_effect",
        choices=_EFFECTS,
        default="snapshot",
        metavar="EFFECT",
        help="what SIGHUP does: snapshot (default), stop or none",
    )
    add_net_arguments(parser)
    add_unused(parser)


def run(args: argparse.Namespace) -> int:
    """Train, with Caffe's log on stderr; on a terminal, also a live line and what came of it in the end."""
    from pycaffe_lite.solvers import get_solver

    start_log(args)
    use_devices(args)
    log_engine()
    begun = monotonic()
    solver = get_solver(args.solver, weights=args.weights, level=args.level, stages=args.stage)
    with LiveLine() as line:
        record = train(solver, line, snapshot=args.snapshot, sigint=args.sigint_effect, sighup=args.sighup_effect)
    if line.enabled:
        print(_closing(solver, record, _again(args), monotonic() - begun), file=sys.stderr)
    return 0


def train(
    solver: Solver,
    line: LiveLine,
    *,
    snapshot: str | None = None,
    sigint: str = "stop",
    sighup: str = "snapshot",
    tested: Callable[[Record], object] | None = None,
) -> Record:
    """Solve, showing progress on `line` and minding signals; closes the solver's nets.

    `tested` is called after each test. Raises what Solver.solve raises; KeyboardInterrupt for a second Ctrl-C.
    """
    from pycaffe_lite.cli._watch import Progress, Record
    from pycaffe_lite.solvers import Action, SignalActions

    try:
        if snapshot:
            log.info("Resuming from %s", snapshot)
            solver.restore(snapshot)
        record = Record(solver, tested)
        solver.watch(record)
        if line.enabled:
            solver.watch(Progress(line, solver))
        log.info("Starting Optimization")
        with SignalActions(Action(sigint), Action(sighup)) as signals:
            solver.action_source = signals.poll
            solver.solve()
    finally:
        for net in (solver.net, *solver.test_nets):
            net.close()
    return record


def command(*words: str) -> str:
    """A command line to copy: this program as it was called, unless its name alone finds it."""
    program = Path(sys.argv[0])
    if program.name != PROGRAM or shutil.which(PROGRAM) is not None or not program.exists():
        return shlex.join([PROGRAM, *words])
    return shlex.join([str(program), *words])


def in_words(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in scores.items())


def _name(text: str) -> str | None:
    return text or None  # an empty flag is an absent one, as in gflags


def _names(text: str) -> list[str] | None:
    return comma_separated(text) or None


def _again(args: argparse.Namespace) -> list[str]:
    """The options that another run of the same training needs."""
    given = [f"--solver={args.solver}"]
    given += [f"--level={args.level}"] if args.level else []
    given += [f"--stage={','.join(args.stage)}"] if args.stage else []
    given += [f"--sigint_effect={args.sigint_effect}"] if args.sigint_effect != "stop" else []
    return given + ([f"--sighup_effect={args.sighup_effect}"] if args.sighup_effect != "snapshot" else [])


def _closing(solver: Solver, record: Record, again: Sequence[str], seconds: float) -> str:
    from pycaffe_lite.solvers.snapshot import file_names

    lines: Sequence[str]
    early = solver.early_stopping
    if early is not None and solver.stopped_early:
        lines = [f"Stopped early at iteration {solver.iter}, after {clock(seconds)}: {early}."]
        if early.best is not None:
            lines += [f"Best weights: {file_names(solver.param, 'best').weights}"]
        return "\n".join(lines)
    if solver.stopped:
        lines = [f"Stopped at iteration {solver.iter}, after {clock(seconds)}."]
        if record.weights:
            lines += ["Go on with: " + command("train", *again, f"--snapshot={record.state}")]
        return "\n".join(lines)
    lines = [f"Done: {solver.iter} iterations, {clock(seconds)}."]
    if record.scores:
        lines += [f"Test at iteration {record.tested_at}: {in_words(record.scores)}."]
    if record.weights:
        lines += [f"Weights: {record.weights}"]
    return "\n".join(lines)
