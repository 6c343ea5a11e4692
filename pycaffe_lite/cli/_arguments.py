"""The command line's grammar: argparse, made to accept what gflags accepts.

Caffe's scripts write `-solver X`, `--solver=X`, `--logtostderr` or `--nologtostderr`, before or after the verb.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import pkgutil
import re
from collections.abc import Iterator, Sequence
from types import ModuleType

import pycaffe_lite
from pycaffe_lite import glog
from pycaffe_lite.proto import caffe_pb2 as pb

log = logging.getLogger(__name__)

_OPTION = re.compile(r"--?([A-Za-z]\w[\w-]*)(=.*)?", re.DOTALL)
_SWITCHES = ("logtostderr", "alsologtostderr")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The parsed command line; `run` in it is the verb's. Raises SystemExit, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="pycaffe-lite",
        allow_abbrev=False,
        parents=[_common()],
        description="Caffe without the build: train, test, time and inspect any Caffe network.",
        epilog="New here? Try: pycaffe-lite demo",
    )
    parser.add_argument("--version", action="version", version=f"pycaffe-lite {pycaffe_lite.__version__}")
    # What is given before the verb must not be overwritten by what is not given after it: see _common.
    parser.set_defaults(debug=False, minloglevel=None, log_dir="")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for verb in verbs():
        sub = subparsers.add_parser(
            verb.NAME, help=verb.HELP, description=verb.HELP, allow_abbrev=False, parents=[_common()]
        )
        verb.add_arguments(sub)
        sub.set_defaults(run=verb.run)
    return parser.parse_args(list(_like_gflags(argv)))


def verbs() -> list[ModuleType]:
    """The verbs' modules, by name."""
    cli = importlib.import_module("pycaffe_lite.cli")
    names = [m.name for m in pkgutil.iter_modules(cli.__path__) if not m.name.startswith("_")]
    return [importlib.import_module(f"{cli.__name__}.{name}") for name in names]


def add_net_arguments(parser: argparse.ArgumentParser) -> None:
    """Caffe's flags for the state that a net is built in, and for devices."""
    parser.add_argument("--level", type=int, default=0, metavar="N", help="level, for layers' rules (default 0)")
    parser.add_argument("--stage", type=comma_separated, default=[], metavar="A,B", help="stages, likewise")
    parser.add_argument("--gpu", metavar="IDS", help="accepted for Caffe's scripts; computes on the CPU all the same")


def start_log(args: argparse.Namespace) -> None:
    """Log as Caffe does from now on, to stderr."""
    glog.install(args.minloglevel)
    if args.log_dir:
        log.warning("--log_dir has no effect: the log goes to stderr; add 2> %s/caffe.log", args.log_dir)


def use_devices(args: argparse.Namespace) -> None:
    """Say so when a GPU was asked for."""
    if args.gpu:
        pycaffe_lite.set_mode_gpu()


def phase(text: str) -> int:
    """TRAIN or TEST, as an argument."""
    try:
        return pb.Phase.Value(text.upper())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither TRAIN nor TEST") from None


def positive(text: str) -> int:
    """A whole number from 1 on, as an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def comma_separated(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _common() -> argparse.ArgumentParser:
    """What every verb accepts, and the program before the verb. Nothing is set by what is not given."""
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parser.add_argument_group("logging and errors")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
    group.add_argument(
        "--minloglevel",
        type=int,
        choices=range(4),
        metavar="N",
        help="log only from this level on: 0 info, 1 warnings, 2 errors, 3 nothing",
    )
    for names in (*([f"--{s}"] for s in _SWITCHES), ["-v", "--v"]):
        group.add_argument(*names, help=argparse.SUPPRESS)
    group.add_argument("--log_dir", help=argparse.SUPPRESS)
    return parser


def _like_gflags(argv: Sequence[str]) -> Iterator[str]:
    """The arguments with two dashes before long options, and a value with every switch of glog's.

    What follows the script of `run` is the script's.
    """
    rest = iter(argv)
    positional: list[str] = []
    for argument in rest:
        positional += [] if argument.startswith("-") else [argument]
        if argument == "--" or (len(positional) == 2 and positional[0] == "run"):
            yield argument
            yield from rest
            return
        option = _OPTION.fullmatch(argument)
        if option is None:
            yield argument
            continue
        name, value = option[1], option[2] or ""
        if name in _SWITCHES or (name.startswith("no") and name[2:] in _SWITCHES):
            yield f"--{name.removeprefix('no')}={value[1:] or 'true'}"
        else:
            yield f"--{name}{value}"
