"""upgrade-net-proto-binary: a .caffemodel in today's form, as Caffe's tool of that name."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import start_log
from pycaffe_lite.cli._upgrade import add_files, upgraded_net

NAME = "upgrade-net-proto-binary"
HELP = "write an old .caffemodel in today's form"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser, "a .caffemodel")


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite._files import atomic_write

    start_log(args)
    net = upgraded_net(args.input)
    with atomic_write(args.output) as part:
        part.write_bytes(net.SerializeToString())
    log.info("Wrote upgraded NetParameter binary proto to %s", args.output)
    return 0
