"""Nets of old forms, read and brought up to date, for the verbs that write them again."""

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
