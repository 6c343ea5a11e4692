"""`pycaffe-lite summary NET [WEIGHTS]`: the layers of a network, as a table."""

from __future__ import annotations

import argparse

from pycaffe_lite.cli._arguments import use_devices
from pycaffe_lite.cli._open import add_file_arguments, open_net

NAME = "summary"
HELP = "show a network's layers: shapes, parameters, multiply-adds, memory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the summary; with weights, also which layers they fit."""
    use_devices(args)
    net = open_net(args)
    try:
        loaded = net.copy_from(args.weights) if args.weights else None
        print(net.summary())
    finally:
        net.close()
    if loaded is not None:
        print(loaded)
    return 0
