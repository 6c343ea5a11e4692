"""time: how long each layer's forward and backward passes take, in Caffe's words."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from time import perf_counter

from pycaffe_lite.cli._arguments import (
    add_net_arguments,
    add_reuse_memory,
    add_unused,
    phase,
    positive,
    start_log,
    use_devices,
)
from pycaffe_lite.cli._engine import log_engine
from pycaffe_lite.cli._live import LiveLine, bar

NAME = "time"
HELP = "measure how long a network's layers take"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="PROTOTXT", help="the network")
    parser.add_argument("--iterations", type=positive, default=50, metavar="N", help="passes to average (default 50)")
    parser.add_argument(
        "--phase", type=phase, metavar="PHASE", help="TRAIN (default; TEST with --reuse-memory) or TEST"
    )
    add_net_arguments(parser)
    add_reuse_memory(parser)
    add_unused(parser)


def run(args: argparse.Namespace) -> int:
    import pycaffe_lite as caffe
    from pycaffe_lite.memory import human_bytes
    from pycaffe_lite.memory_use import peak_memory

    start_log(args)
    use_devices(args)
    log_engine()
    chosen = args.phase if args.phase is not None else caffe.TEST if args.reuse_memory else caffe.TRAIN
    net = caffe.Net(args.model, chosen, args.level, args.stage, reuse_memory=args.reuse_memory)
    backwards = not args.reuse_memory
    names = [node.name for node in net._nodes]
    last = len(names) - 1
    within = len(net._passes.chains.within())

    # The first passes take memory and warm up caches.
    log.info("Performing Forward")
    log.info("Initial loss: %g", net._forward(0, last))
    if backwards:
        log.info("Performing Backward")
        net._backward(last, 0)

    log.info("*** Benchmark begins ***")
    log.info("Testing for %d iterations.", args.iterations)
    forward, backward, whole = [0.0] * len(names), [0.0] * len(names), 0.0
    start = perf_counter()
    with LiveLine() as line:
        for i in range(args.iterations):
            line.show(f"{bar(i / args.iterations, 30)} iteration {i} of {args.iterations}")
            before = sum(forward) + sum(backward)
            for j in range(len(names)):
                forward[j] += _milliseconds(net._forward, j, j)
            for j in reversed(range(len(names))) if backwards else ():
                backward[j] += _milliseconds(net._backward, j, j)
            if within:
                whole += _milliseconds(net._forward, 0, last)
            log.info("Iteration: %d forward-backward time: %g ms.", i + 1, sum(forward) + sum(backward) - before)
    total = 1000 * (perf_counter() - start) - whole

    n, width = args.iterations, max([10, *map(len, names)])
    log.info("Average time per layer: ")
    for name, ahead, back in zip(names, forward, backward, strict=True):
        log.info("%*s\tforward: %g ms.", width, name, ahead / n)
        log.info("%*s\tbackward: %g ms.", width, name, back / n)
    log.info("Average Forward pass: %g ms.", sum(forward) / n)
    log.info("Average Backward pass: %g ms.", sum(backward) / n)
    log.info("Average Forward-Backward: %g ms.", total / n)
    log.info("Total Time: %g ms.", total)
    if within:
        noun = "layer" if within == 1 else "layers"
        log.info("Average Forward pass in one piece (%d %s in others' passes): %g ms.", within, noun, whole / n)
    log.info("*** Benchmark ends ***")
    log.info("Memory: %s", net.memory_use())
    if peak := peak_memory():
        log.info("The process's peak: %s", human_bytes(peak))
    net.close()
    return 0


def _milliseconds(run: Callable[[int, int], object], first: int, last: int) -> float:
    start = perf_counter()
    run(first, last)
    return 1000 * (perf_counter() - start)
