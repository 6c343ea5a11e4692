"""convert-imageset: the pictures that a list names to a database, as Caffe's convert_imageset."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import add_backend, seed, start_log
from pycaffe_lite.cli._gflags import Switch
from pycaffe_lite.cli._live import progress_bar

NAME = "convert-imageset"
HELP = "convert the pictures that a list names to a database"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root_folder", metavar="ROOTFOLDER/", help="what the list's paths begin in")
    parser.add_argument("list", metavar="LISTFILE", help="a text file of lines: path, a space, a whole number")
    parser.add_argument("database", metavar="DB_NAME", help="the folder to make")
    add_backend(parser)
    parser.add_argument("--gray", action=Switch, help="one channel, not three")
    parser.add_argument("--shuffle", action=Switch, help="in random order")
    parser.add_argument("--seed", type=seed, metavar="N", help="shuffle in the same order for the same N")
    parser.add_argument(
        "--resize_width", type=int, default=0, metavar="W", help="resize to this width (default 0: not)"
    )
    parser.add_argument("--resize_height", type=int, default=0, metavar="H", help="resize to this height, likewise")
    parser.add_argument("--check_size", action=Switch, help="refuse pictures of another size than the first")
    parser.add_argument("--encoded", action=Switch, help="store picture files (JPEG, PNG, ...), not pixels")
    parser.add_argument("--encode_type", default="", metavar="TYPE", help="such as png (default: each file's own)")
    parser.add_argument(
        "--skip_unreadable", action=Switch, help="leave out, with an error in the log, pictures that cannot be read"
    )


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from pycaffe_lite.data.imageset import Conversion, convert_imageset

    start_log(args)
    conversion = Conversion(
        args.gray, args.resize_height, args.resize_width, args.encoded or bool(args.encode_type), args.encode_type
    )
    if args.shuffle:
        log.info("Shuffling data")
    with progress_bar("pictures") as progress:
        count = convert_imageset(
            args.root_folder,
            args.list,
            args.database,
            conversion,
            backend=args.backend,
            shuffle=np.random.default_rng(args.seed) if args.shuffle else None,
            check_size=args.check_size,
            skip_unreadable=args.skip_unreadable,
            progress=progress,
        )
    log.info("Processed %d files.", count)
    return 0
