"""parse-log: a training's log as tables, with the arguments and columns of Caffe's parse_log.py."""

from __future__ import annotations

import argparse
import os

NAME = "parse-log"
HELP = "write a training log's numbers as CSV tables, LOG.train and LOG.test"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("logfile_path", metavar="LOG", help="the log of pycaffe-lite train, or of Caffe's")
    parser.add_argument("output_dir", metavar="FOLDER", help="where to write the tables")
    parser.add_argument("--verbose", action="store_true", help="say which files were written")
    parser.add_argument("--delimiter", default=",", metavar="CHAR", help="what stands between columns (default ',')")


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite.errors import ParameterError
    from pycaffe_lite.training_log import read_log, write_tables

    delimiter = args.delimiter.replace("\\t", "\t")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ParameterError(f"--delimiter is {args.delimiter!r}", hint="It must be one character, or \\t.")
    log = read_log(args.logfile_path)
    written = write_tables(log, os.path.basename(args.logfile_path), args.output_dir, delimiter)
    if args.verbose:
        for path in written:
            print(f"Wrote {path}")
    return 0
