"""`pycaffe-lite run SCRIPT ...`: a Python script that says `import caffe`, as it stands."""

from __future__ import annotations

import argparse

NAME = "run"
HELP = "run a Python script written for Caffe: its 'import caffe' gives pycaffe-lite"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # One argument for both: of two, argparse would take the script's first "--" for its own.
    parser.add_argument(
        "script",
        metavar="SCRIPT",
        nargs=argparse.PARSER,
        help="the script, whose folder is searched for modules first, and the script's own arguments",
    )


def run(args: argparse.Namespace) -> int:
    """Run it; the exit status is the script's."""
    from pycaffe_lite.as_caffe import run_script

    script, *arguments = args.script[1:] if args.script[0] == "--" else args.script
    return run_script(script, arguments, log_level=args.minloglevel, debug=args.debug)
