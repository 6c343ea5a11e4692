"""compute-image-mean: the mean image of a database, as Caffe's compute_image_mean."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import add_backend, start_log
from pycaffe_lite.cli._live import progress_bar

NAME = "compute-image-mean"
HELP = "compute the mean image of a database"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("database", metavar="INPUT_DB", help="the database's folder")
    parser.add_argument("output", metavar="OUTPUT_FILE", nargs="?", help="the file to write, such as mean.binaryproto")
    add_backend(parser, None)


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite._files import check_writable
    from pycaffe_lite.data.mean_image import compute_mean_image, write_mean_image

    start_log(args)
    if args.output:
        check_writable(args.output)
    with progress_bar("images") as progress:
        mean = compute_mean_image(args.database, args.backend, progress)
    if args.output:
        log.info("Write to %s", args.output)
        write_mean_image(args.output, mean)
    log.info("Number of channels: %d", len(mean))
    for channel, values in enumerate(mean):
        log.info("mean_value channel [%d]: %g", channel, values.mean(dtype="float64"))
    return 0
