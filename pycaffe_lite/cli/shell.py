"""`pycaffe-lite shell NET [WEIGHTS]`: a Python prompt with the network at hand; IPython's where it is installed."""

from __future__ import annotations

import argparse
import code
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pycaffe_lite import _extras
from pycaffe_lite.cli._arguments import use_devices
from pycaffe_lite.cli._open import add_file_arguments, data_hint, is_solver, open_net
from pycaffe_lite.errors import CaffeError, MissingPackageError
from pycaffe_lite.proto import caffe_pb2 as pb

if TYPE_CHECKING:
    from pycaffe_lite.net import Net

NAME = "shell"
HELP = "open a Python prompt with a network, or a solver, at hand"

HISTORY = "~/.pycaffe_lite_history"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file_arguments(parser)
    parser.add_argument("--plain", action="store_true", help="plain Python's prompt, even where IPython is installed")


def run(args: argparse.Namespace) -> int:
    """Build the net, show its summary, and prompt until the user has enough."""
    if sys.stdin is None:
        raise CaffeError("There is no standard input to read commands from", hint="Call it from a terminal.")
    use_devices(args)
    names = _names(args)
    net: Net = names["net"]
    try:
        loaded = net.copy_from(args.weights) if args.weights else None
        parts = [str(net.summary()), str(loaded) if loaded else "", _what_to_try(names)]
        banner = "\n".join(filter(None, parts))
        if args.plain or not _ipython(names, banner):
            _plain(names, banner)
    finally:
        net.close()
    return 0


def _names(args: argparse.Namespace) -> dict[str, Any]:
    """What the prompt knows: net, caffe, np, plot; solver too, when the file is a solver's."""
    import numpy as np

    import pycaffe_lite as caffe
    from pycaffe_lite import plot

    names: dict[str, Any] = {"caffe": caffe, "np": np, "plot": plot}
    if args.phase != pb.TEST and is_solver(args.net):
        with data_hint(pb.TRAIN):
            names["solver"] = caffe.get_solver(args.net, level=args.level, stages=args.stage)
        names["net"] = names["solver"].net
    else:
        names["net"] = open_net(args)
    return names


def _what_to_try(names: dict[str, Any]) -> str:
    net: Net = names["net"]
    blob = next(iter(net.blobs), None)
    tries = ["solver.step(1)" if "solver" in names else "net.forward()", "net.blobs"]
    tries += [f"net.blobs[{blob!r}].data"] if blob is not None else []
    tries += [f"net.params[{next(iter(net.params))!r}][0]"] if net.params else []
    return (
        f"\nAt hand: {', '.join(sorted(names))}. Tab completes the names of blobs and layers.\n"
        f"Try: {'   '.join(tries)}\n"
    )


def _ipython(names: dict[str, Any], banner: str) -> bool:
    """Run IPython; False where it is missing."""
    try:
        ipython = _extras.require("IPython", "have its prompt")
        config = _extras.require("traitlets.config", "set it up").Config()
    except MissingPackageError:
        return False
    config.TerminalInteractiveShell.banner1 = banner + "\n"
    config.TerminalInteractiveShell.banner2 = ""
    ipython.start_ipython(argv=[], user_ns=names, config=config)
    return True


def _plain(names: dict[str, Any], banner: str) -> None:
    """Run Python's own prompt, with history and completion where there is a readline."""
    history = os.path.expanduser(HISTORY)
    try:
        import readline
    except ImportError:  # Windows
        code.interact(banner, local=names, exitmsg="")
        return
    from pycaffe_lite.cli._complete import DELIMITERS, Completer

    readline.set_completer_delims(DELIMITERS)
    readline.set_completer(Completer(names))
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    with suppress(OSError):  # none yet
        readline.read_history_file(history)
    try:
        with suppress(SystemExit):  # exit()
            code.interact(banner, local=names, exitmsg="")
    finally:
        with suppress(OSError):
            readline.write_history_file(history)
