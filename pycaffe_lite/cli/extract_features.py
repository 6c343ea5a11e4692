"""extract-features: what a network makes of its data, into databases, as Caffe's extract_features."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import comma_separated, positive, start_log
from pycaffe_lite.cli._live import progress_bar
from pycaffe_lite.data.database import BACKENDS

NAME = "extract-features"
HELP = "save blobs of a network's batches to databases or HDF5 files"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pretrained_net", metavar="CAFFEMODEL", help="the weights (.caffemodel or .h5)")
    parser.add_argument("prototxt", metavar="PROTOTXT", help="the network with its data, built in phase TEST")
    parser.add_argument("blobs", metavar="BLOB1[,BLOB2]", type=comma_separated, help="which blobs to save")
    parser.add_argument("outputs", metavar="OUT1[,OUT2]", type=comma_separated, help="where to, one for each blob")
    parser.add_argument("batches", metavar="BATCHES", type=positive, help="how many batches to run")
    parser.add_argument(
        "db_type", metavar="DB_TYPE", choices=[*BACKENDS, "hdf5"], help=f"{', '.join(BACKENDS)} or hdf5"
    )
    parser.add_argument("device", metavar="CPU|GPU", choices=["CPU", "GPU"], nargs="?", default="CPU", help="ignored")
    parser.add_argument("device_id", metavar="DEVICE_ID", nargs="?", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    import pycaffe_lite as caffe
    from pycaffe_lite.features import extract_features
    from pycaffe_lite.weights_io import copy_to_use

    start_log(args)
    if args.device == "GPU":
        caffe.set_mode_gpu()
    net = caffe.Net(args.prototxt, caffe.TEST)
    try:
        copy_to_use(net, args.pretrained_net)
        with progress_bar("batches") as progress:
            counts = extract_features(net, args.blobs, args.outputs, args.batches, args.db_type, progress)
    finally:
        net.close()
    for blob, count in zip(args.blobs, counts, strict=True):
        log.info("Extracted features of %d images for feature blob %s", count, blob)
    log.info("Successfully extracted the features!")
    return 0
