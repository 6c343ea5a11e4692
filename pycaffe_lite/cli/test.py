"""test: the scores of a trained network, batch by batch and on average."""

from __future__ import annotations

import argparse
import logging

from pycaffe_lite.cli._arguments import (
    add_net_arguments,
    add_reuse_memory,
    add_unused,
    positive,
    start_log,
    use_devices,
)
from pycaffe_lite.cli._engine import log_engine
from pycaffe_lite.cli._live import LiveLine, bar

NAME = "test"
HELP = "score a network with its weights"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="PROTOTXT", help="the network, built in phase TEST")
    parser.add_argument("--weights", required=True, metavar="CAFFEMODEL", help="its weights (.caffemodel or .h5)")
    parser.add_argument("--iterations", type=positive, default=50, metavar="N", help="batches to run (default 50)")
    add_net_arguments(parser)
    add_reuse_memory(parser)
    add_unused(parser)


def run(args: argparse.Namespace) -> int:
    import numpy as np

    import pycaffe_lite as caffe
    from pycaffe_lite.weights_io import copy_to_use

    start_log(args)
    use_devices(args)
    log_engine()
    net = caffe.Net(args.model, caffe.TEST, args.level, args.stage, reuse_memory=args.reuse_memory)
    copy_to_use(net, args.weights)
    log.info("Running for %d iterations.", args.iterations)
    sums = {name: np.zeros(net.blobs[name].count) for name in net.outputs}
    total_loss = 0.0
    with LiveLine() as line:
        for i in range(args.iterations):
            line.show(f"{bar(i / args.iterations, 30)} batch {i} of {args.iterations}")
            total_loss += net._forward(0, len(net.layers) - 1)
            for name in net.outputs:
                values = net.blobs[name].data.ravel()
                sums[name] += values
                for value in values:
                    log.info("Batch %d, %s = %g", i, name, value)
    log.info("Loss: %g", total_loss / args.iterations)
    weights = net.blob_loss_weights
    for name in net.outputs:
        for mean in sums[name] / args.iterations:
            suffix = f" (* {weights[name]:g} = {weights[name] * mean:g} loss)" if weights[name] else ""
            log.info("%s = %g%s", name, mean, suffix)
    net.close()
    return 0
