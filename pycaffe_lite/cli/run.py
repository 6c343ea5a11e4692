"""`pycaffe-lite run SCRIPT ...`: a Python script that says `import caffe`, as it stands."""

from __future__ import annotations

import argparse

NAME = "run"
HELP = "run a Python script written for Caffe: its 'import caffe' gives pycaffe-lite"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT", help="the script; its folder is searched for modules first")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="the script's own arguments")


def run(args: argparse.Namespace) -> int:
    """Run it; the exit status is the script's."""
    from pycaffe_lite.as_caffe import run_script

    return run_script(args.script, args.arguments, log_level=args.minloglevel, debug=args.debug)
