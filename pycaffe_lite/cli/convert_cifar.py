"""convert-cifar: CIFAR-10's binary files to databases, as Caffe's convert_cifar_data."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import start_log
from pycaffe_lite.cli._live import progress_bar
from pycaffe_lite.data.database import BACKENDS

NAME = "convert-cifar"
HELP = "convert CIFAR-10's binary files to databases"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input_folder", metavar="INPUT_FOLDER", help="where data_batch_1.bin and the others are")
    parser.add_argument(
        "output_folder", metavar="OUTPUT_FOLDER", help="where to make cifar10_train_lmdb and _test_lmdb"
    )
    parser.add_argument("db_type", metavar="DB_TYPE", choices=BACKENDS, help=f"kind of database: {', '.join(BACKENDS)}")


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite.data.cifar import convert_cifar

    start_log(args)
    with progress_bar("pictures") as progress:
        databases = convert_cifar(args.input_folder, args.output_folder, args.db_type, progress)
    log.info("Wrote %s and %s", *databases)
    return 0
