"""The command line's grammar: what every verb accepts, and how arguments' values are read."""

from __future__ import annotations

import argparse
import importlib
import logging
import pkgutil
from collections.abc import Mapping, Sequence
from types import ModuleType

import pycaffe_lite
from pycaffe_lite import glog
from pycaffe_lite.cli._gflags import Switch, like_argparse
from pycaffe_lite.data.database import BACKENDS
from pycaffe_lite.errors import did_you_mean, nearest
from pycaffe_lite.proto import caffe_pb2 as pb

PROGRAM = "pycaffe-lite"

log = logging.getLogger(__name__)

_GLOG_SWITCHES = (
    "alsologtostderr colorlogtostderr drop_log_memory log_prefix logtostderr stop_logging_if_full_disk "
    "symbolize_stacktrace"
).split()
_GLOG_VALUES = (
    "alsologtoemail log_backtrace_at log_link logbuflevel logbufsecs logemaillevel logmailer max_log_size "
    "stderrthreshold v vmodule"
).split()
"""glog's flags that are taken, as every program with glog does, and change nothing here."""

_CAFFE = (
    "gpu",
    "iterations",
    "level",
    "model",
    "phase",
    "sighup_effect",
    "sigint_effect",
    "snapshot",
    "solver",
    "stage",
    "weights",
)
"""Flags that Caffe's program has for all of its commands, whether they look at them or not."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The parsed command line; `run` in it is the verb's. Raises SystemExit, as argparse does."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        allow_abbrev=False,
        parents=[_common()],
        description="Caffe without the build: train, test, time and inspect any Caffe network.",
        epilog="New here? Try: pycaffe-lite demo",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for verb in verbs():
        sub = subparsers.add_parser(
            verb.NAME, help=verb.HELP, description=verb.HELP, allow_abbrev=False, parents=[_common()]
        )
        verb.add_arguments(sub)
        sub.set_defaults(run=verb.run)
    arguments = like_argparse(argv, subparsers.choices)
    _refuse_unknown(arguments, parser, subparsers.choices)
    return parser.parse_args(arguments)


def _refuse_unknown(
    argv: Sequence[str], parser: argparse.ArgumentParser, choices: Mapping[str, argparse.ArgumentParser]
) -> None:
    """Exit, with the nearest that there is, for a verb or an option that there is not: argparse would list all verbs,
    and speak of options that are missing first.
    """
    if not argv or argv[0].startswith("-"):
        return
    if argv[0] not in choices:
        hint = did_you_mean(argv[0], choices) or "See --help."
        parser.error(f"there is no command '{argv[0]}'. {hint}")
    verb = choices[argv[0]]
    for argument in argv[1:]:
        option = argument.partition("=")[0]
        if argument == "--" or (argv[0] == "run" and not argument.startswith("-")):
            break
        if option.startswith("--") and option not in verb._option_string_actions:
            shown = [s for a in verb._actions if a.help != argparse.SUPPRESS for s in a.option_strings]
            near = nearest(option[2:], [s[2:] for s in shown if s.startswith("--")])
            verb.error(f"there is no option {option}. {f'Did you mean --{near}?' if near else 'See --help.'}")


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


def add_reuse_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reuse-memory",
        "--reuse_memory",
        action="store_true",
        help="let blobs use each other's memory when they are no longer needed",
    )


def add_backend(parser: argparse.ArgumentParser, default: str | None = "lmdb") -> None:
    """The kind of database; without a default, what kind it is shows."""
    text = f"kind of database: {', '.join(BACKENDS)} (default {default or 'what it is'})"
    parser.add_argument("--backend", choices=BACKENDS, default=default, help=text)


def add_unused(parser: argparse.ArgumentParser) -> None:
    """Caffe's flags that this command of Caffe's takes and does not look at."""
    used = {action.dest for action in parser._actions}
    for name in _CAFFE:
        if name not in used:
            parser.add_argument(f"--{name}", dest=f"unused_{name}", help=argparse.SUPPRESS)


def start_log(args: argparse.Namespace) -> None:
    """Log as Caffe does from now on, to stderr."""
    glog.install(args.minloglevel)
    for name in _CAFFE:
        if getattr(args, f"unused_{name}", None):
            log.warning("--%s has no effect on this command", name)


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


def seed(text: str) -> int:
    """A random_seed, as an argument."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def numbers(text: str) -> list[int]:
    """Whole numbers separated by commas, as an argument."""
    try:
        return [int(part) for part in comma_separated(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, such as 2,1,0") from None


def comma_separated(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _common() -> argparse.ArgumentParser:
    """What every verb accepts."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--version", action="version", version=f"pycaffe-lite {pycaffe_lite.__version__}")
    group = parser.add_argument_group("logging and errors")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
    group.add_argument(
        "--minloglevel",
        type=int,
        choices=range(4),
        metavar="N",
        help="log only from this level on: 0 info, 1 warnings, 2 errors, 3 nothing",
    )
    group.add_argument("--log_dir", default="", metavar="FOLDER", help="write the log into a file there too")
    for name in _GLOG_SWITCHES:
        group.add_argument(f"--{name}", action=Switch, help=argparse.SUPPRESS)
    for name in _GLOG_VALUES:
        group.add_argument(f"--{name}", help=argparse.SUPPRESS)
    return parser
