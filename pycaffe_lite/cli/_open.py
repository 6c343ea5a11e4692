"""Opening what the user names, a network's file or a solver's, to look at it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pycaffe_lite.cli._arguments import add_net_arguments, phase
from pycaffe_lite.errors import DataError, MissingFileError, ParameterError, ParseError
from pycaffe_lite.proto import caffe_pb2 as pb

if TYPE_CHECKING:
    from pycaffe_lite.net import Net


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """NET [WEIGHTS], and the state to build it in."""
    parser.add_argument("net", metavar="NET", help="a network's prototxt, or a solver's")
    parser.add_argument("weights", metavar="WEIGHTS", nargs="?", help="a .caffemodel or .caffemodel.h5 to load")
    parser.add_argument(
        "--phase", type=phase, metavar="PHASE", help="TRAIN or TEST (default TEST; TRAIN for a solver's net)"
    )
    add_net_arguments(parser)


def is_solver(path: str) -> bool:
    """Whether the file is a solver's and no network.

    Raises MissingFileError, and ParseError for the kind of file that it resembles more when it is neither.
    """
    from pycaffe_lite.schema import read_net, read_solver

    try:
        read_net(path)
    except ParseError as no_net:
        try:
            read_solver(path)
        except ParseError as no_solver:
            raise max(no_net, no_solver, key=_how_far) from None
        return True
    return False


def open_net(args: argparse.Namespace) -> Net:
    """The net of `add_file_arguments`' arguments, without weights: the file's, or what a solver trains or tests."""
    from pycaffe_lite.net import Net
    from pycaffe_lite.solvers.nets import make_test_nets, make_train_net
    from pycaffe_lite.solvers.solver_file import SolverFile

    solver = is_solver(args.net)
    chosen = args.phase if args.phase is not None else pb.TRAIN if solver else pb.TEST
    with data_hint(chosen):
        if not solver:
            return Net(args.net, chosen, args.level, args.stage)
        file = SolverFile.read(args.net)
        if chosen == pb.TRAIN:
            return make_train_net(file, args.level, args.stage)
        nets = make_test_nets(file)
        if not nets:
            raise ParameterError(f"The solver {args.net} tests no net", hint="See what it trains with --phase TRAIN.")
        for other in nets[1:]:
            other.close()
        return nets[0]


@contextmanager
def data_hint(chosen: int) -> Iterator[None]:
    """Errors of layers whose data are not there say what else there is to look at."""
    try:
        yield
    except (MissingFileError, DataError) as e:
        if e.layer is not None:
            other = "TEST" if chosen == pb.TRAIN else "TRAIN"
            e.hint = f"{e.hint} To look at the net without its data, try its deploy file, or --phase {other}.".strip()
        raise


def _how_far(error: ParseError) -> tuple[int, int]:
    """Where in the file it was found not to be what was expected."""
    return (error.position.line, error.position.column) if error.position else (0, 0)
