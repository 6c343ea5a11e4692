"""classify: probabilities for a picture, a folder of them, or an array, as Caffe's python/classify.py."""

from __future__ import annotations

import argparse
import glob
import logging
import math
import os
import time
from itertools import islice
from typing import TYPE_CHECKING

from pycaffe_lite.cli._arguments import numbers, start_log
from pycaffe_lite.cli._engine import log_engine
from pycaffe_lite.cli._live import progress_bar
from pycaffe_lite.cli._picture_net import add_picture_net_arguments, picture_net_settings
from pycaffe_lite.errors import DataError, MissingFileError

if TYPE_CHECKING:
    from pycaffe_lite._typing import Array

NAME = "classify"
HELP = "classify pictures with a network"

log = logging.getLogger(__name__)

_BEST = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input_file", metavar="INPUT", help="a picture, a folder of them, or .npy: (n, height, width, 3)"
    )
    parser.add_argument("output_file", metavar="OUTPUT", help="the file for the probabilities, (n, classes), as .npy")
    add_picture_net_arguments(parser)
    parser.add_argument("--center_only", action="store_true", help="the middle only, not the mean over ten crops")
    parser.add_argument(
        "--images_dim", type=numbers, default=[256, 256], metavar="H,W", help="resize to this first (default 256,256)"
    )
    parser.add_argument("--ext", default="jpg", help="a folder's pictures have this ending (default jpg)")
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one a line: print the five likeliest")


def run(args: argparse.Namespace) -> int:
    import numpy as np

    import pycaffe_lite as caffe
    from pycaffe_lite._files import atomic_write, check_writable, read_bytes
    from pycaffe_lite.data.pool import in_threads

    start_log(args)
    if args.gpu:
        caffe.set_mode_gpu()
    log_engine()
    output = args.output_file if args.output_file.endswith(".npy") else args.output_file + ".npy"  # as np.save does
    check_writable(output)
    names, pictures = _inputs(args.input_file, args.ext)
    net = caffe.Classifier(image_dims=args.images_dim, **picture_net_settings(args))
    shape = net.blobs[net.inputs[0]].shape
    color = shape[1] != 1
    labels: list[str] = []
    if args.labels:
        labels = read_bytes(args.labels).decode("utf-8", "surrogateescape").splitlines()
        classes = math.prod(net.blobs[net.outputs[0]].shape[1:])
        if len(labels) != classes:
            raise DataError(f"'{args.labels}' names {len(labels)} classes, the network has {classes}")
    print(f"Classifying {len(names)} inputs.")
    start = time.monotonic()
    found: list[Array] = []
    loaded = iter(pictures) if pictures is not None else in_threads(lambda p: caffe.io.load_image(p, color), names)
    at_once = max(1, shape[0] // (1 if args.center_only else 10))  # what fills a batch
    with progress_bar("pictures") as progress:
        while batch := list(islice(loaded, at_once)):
            found += list(net.predict(batch, not args.center_only))
            progress(len(found), len(names))
    print(f"Done in {time.monotonic() - start:.2f} s.")
    print(f"Saving results into {output}")
    with atomic_write(output) as part, open(part, "wb") as file:
        np.save(file, np.stack(found))
    if labels:
        for name, scores in zip(names, found, strict=True):
            print(f"---------- Prediction for {name} ----------")
            for i in (-scores.ravel()).argsort(kind="stable")[:_BEST]:
                print(f'{scores.ravel()[i]:.4f} - "{labels[i]}"')
    return 0


def _inputs(path: str, ending: str) -> tuple[list[str], Array | None]:
    """Names of the pictures, and the pictures themselves where they come as an array."""
    from pycaffe_lite._files import find_file, read_npy

    if os.path.isdir(path):
        names = sorted(glob.glob(os.path.join(glob.escape(path), f"*.{ending.lstrip('.')}")))
        if not names:
            raise MissingFileError(f"There is no picture *.{ending} in '{path}'", hint="Give their ending with --ext.")
        return names, None
    find_file(path)
    if not path.endswith(".npy"):
        return [path], None
    pictures = read_npy(path)
    if pictures.ndim != 4 or not pictures.size:
        raise DataError(f"'{path}' has shape {pictures.shape}", hint="Pictures are (n, height, width, channels).")
    return [f"{path}[{i}]" for i in range(len(pictures))], pictures
