"""Files of old forms, read, brought up to date and written, for the verbs that do so."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.proto import caffe_pb2 as pb

log = logging.getLogger(__name__)


def add_files(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("input", metavar="IN", help=f"{what} of any age")
    parser.add_argument("output", metavar="OUT", help="the file to write")


def upgraded_net(path: str) -> pb.NetParameter:
    """The net in a file, text or binary, in today's form; raises what reading and upgrading raise."""
    from pycaffe_lite.graph.upgrade import upgrade_net
    from pycaffe_lite.schema import read_net

    net, positions = read_net(path)
    upgraded, _ = upgrade_net(net, positions)
    if upgraded is net:
        log.info("%s is in today's form already", path)
    return upgraded


def write_message(message: pb.NetParameter | pb.SolverParameter, path: str) -> None:
    """Write a message as text: whole, or not at all."""
    from pycaffe_lite._files import atomic_write
    from pycaffe_lite.schema import write_text

    with atomic_write(path) as part:
        part.write_text(write_text(message), encoding="utf-8", errors="surrogateescape")
