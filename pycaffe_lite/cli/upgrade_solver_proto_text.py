"""upgrade-solver-proto-text: a solver's prototxt in today's form, as Caffe's tool of that name."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import start_log
from pycaffe_lite.cli._upgrade import add_files, write_message

NAME = "upgrade-solver-proto-text"
HELP = "write an old solver's prototxt in today's form"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser, "a solver's prototxt")


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite.solvers.solver_file import SolverFile

    start_log(args)
    file = SolverFile.as_written(args.input)
    if not file.upgrade_type():
        log.info("%s is in today's form already", args.input)
    write_message(file.message, args.output)
    log.info("Wrote upgraded SolverParameter text proto to %s", args.output)
    return 0
