"""upgrade-net-proto-text: a network's prototxt in today's form, as Caffe's tool of that name."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import start_log
from pycaffe_lite.cli._upgrade import add_files, upgraded_net, write_message

NAME = "upgrade-net-proto-text"
HELP = "write an old network's prototxt in today's form"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser, "a network's prototxt")


def run(args: argparse.Namespace) -> int:
    start_log(args)
    write_message(upgraded_net(args.input), args.output)
    log.info("Wrote upgraded NetParameter text proto to %s", args.output)
    return 0
