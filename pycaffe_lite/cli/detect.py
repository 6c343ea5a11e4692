"""detect: predictions for windows of pictures, as Caffe's python/detect.py."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pycaffe_lite._extras import require
from pycaffe_lite.cli._arguments import start_log
from pycaffe_lite.cli._engine import log_engine
from pycaffe_lite.cli._live import progress_bar
from pycaffe_lite.cli._picture_net import add_picture_net_arguments, picture_net_settings
from pycaffe_lite.errors import CaffeError, DataError, Position

if TYPE_CHECKING:
    from pycaffe_lite import Detector

NAME = "detect"
HELP = "classify windows of pictures with a network"

log = logging.getLogger(__name__)

_CORNERS = ("ymin", "xmin", "ymax", "xmax")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input_file", metavar="INPUT", help="a .txt of pictures, one a line, or a .csv of windows")
    parser.add_argument("output_file", metavar="OUTPUT", help="the .csv, or .h5, file for the predictions")
    add_picture_net_arguments(parser)
    parser.add_argument(
        "--crop_mode",
        choices=["list", "selective_search"],
        default="selective_search",
        help="list: the windows of a .csv with columns filename,ymin,xmin,ymax,xmax; default selective_search, "
        "which needs MATLAB",
    )
    parser.add_argument(
        "--context_pad", type=int, default=16, metavar="N", help="pixels of what is around a window (default 16)"
    )


def run(args: argparse.Namespace) -> int:
    import pycaffe_lite as caffe
    from pycaffe_lite._files import check_writable

    start_log(args)
    if args.gpu:
        caffe.set_mode_gpu()
    log_engine()
    check_writable(args.output_file)
    hdf5 = args.output_file.lower().endswith((".h5", ".hdf5"))
    if hdf5:
        require("h5py", "write HDF5 files")
    begun = time.monotonic()
    print("Loading input...")
    listed = _windows(args.input_file) if args.crop_mode == "list" else None
    names = _names(args.input_file) if listed is None else []
    detector = caffe.Detector(context_pad=args.context_pad, **picture_net_settings(args))
    if listed is None:
        found = detector.detect_selective_search(names)
    else:
        found = []
        with progress_bar("pictures") as progress:
            for i, (name, windows) in enumerate(listed.items()):
                found += _detect(detector, name, windows, args.input_file)
                progress(i + 1, len(listed))
    print(f"Processed {len(found)} windows in {time.monotonic() - begun:.3f} s.")
    (_write_hdf5 if hdf5 else _write_csv)(args.output_file, found)
    print(f"Saved to {args.output_file}.")
    return 0


def _detect(detector: Detector, name: str, windows: dict[int, list[float]], listed: str) -> list[dict[str, Any]]:
    """The predictions for a picture's windows; errors of picture and windows say where they are listed."""
    line = min(windows)

    def corners() -> Iterator[list[float]]:
        nonlocal line
        for line, window in windows.items():  # noqa: B007
            yield window
        line = 0  # what fails from here on is the network

    try:
        return detector.detect_windows([(name, corners())])
    except CaffeError as e:
        if line:
            e.at(position=Position(listed, line, 1))
        raise


def _names(path: str) -> list[str]:
    from pycaffe_lite._files import read_bytes

    lines = read_bytes(path).decode("utf-8", "surrogateescape").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"'{path}' lists no pictures", hint="Write one path per line.")
    return names


def _windows(path: str) -> dict[str, dict[int, list[float]]]:
    """The windows of each picture by their lines, (ymin, xmin, ymax, xmax), in the file's order of pictures."""
    import csv

    from pycaffe_lite._files import read_bytes

    rows = csv.DictReader(read_bytes(path).decode("utf-8-sig", "surrogateescape").splitlines())
    missing = {"filename", *_CORNERS} - set(rows.fieldnames or ())
    if missing:
        raise DataError(
            f"'{path}' has no column {', '.join(sorted(missing))}",
            hint="Its first line should be: filename,ymin,xmin,ymax,xmax",
        )
    windows: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        try:
            corners = [float(row[c]) for c in _CORNERS]
            if not all(map(math.isfinite, corners)):
                raise ValueError
        except (TypeError, ValueError) as e:
            raise DataError(
                f"A window is {[row[c] for c in _CORNERS]}, which are not four numbers",
                position=Position(path, rows.line_num, 1),
            ) from e
        windows.setdefault(row["filename"], {})[rows.line_num] = corners
    if not windows:
        raise DataError(f"'{path}' lists no windows")
    return windows


def _write_csv(path: str, found: Sequence[dict[str, Any]]) -> None:
    """A row for each window: filename, corners, and the predictions as class0, class1, ..."""
    import csv

    from pycaffe_lite._files import atomic_write

    classes = [f"class{i}" for i in range(found[0]["prediction"].size)] if found else []
    with atomic_write(path) as part, open(part, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", *_CORNERS, *classes])
        for one in found:
            writer.writerow([one["filename"], *map(float, one["window"]), *one["prediction"].ravel().tolist()])


def _write_hdf5(path: str, found: Sequence[dict[str, Any]]) -> None:
    """Datasets filename (n,), window (n, 4) and prediction (n, ...)."""
    import numpy as np

    from pycaffe_lite._hdf5 import new_hdf5

    h5py = require("h5py", "write HDF5 files")
    with new_hdf5(path) as new, new.writing():
        new.h5.create_dataset("filename", data=[one["filename"] for one in found], dtype=h5py.string_dtype())
        new.h5.create_dataset("window", data=np.array([one["window"] for one in found], np.float32).reshape(-1, 4))
        new.h5.create_dataset("prediction", data=np.array([one["prediction"] for one in found]))
