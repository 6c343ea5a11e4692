"""convert-mnist: MNIST's idx files to a database, as Caffe's convert_mnist_data."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import add_backend, start_log
from pycaffe_lite.cli._live import progress_bar

NAME = "convert-mnist"
HELP = "convert MNIST's files (plain or gzipped) to a database"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGES", help="for example train-images-idx3-ubyte.gz")
    parser.add_argument("labels", metavar="LABELS", help="for example train-labels-idx1-ubyte.gz")
    parser.add_argument("database", metavar="DB", help="the folder to make")
    add_backend(parser)


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite.data.mnist import convert_mnist

    start_log(args)
    with progress_bar("images") as progress:
        count = convert_mnist(args.images, args.labels, args.database, progress, backend=args.backend)
    log.info("Processed %d files.", count)
    return 0
