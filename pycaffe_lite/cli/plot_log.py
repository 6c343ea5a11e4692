"""plot-log: curves from training logs, with the arguments of Caffe's plot_training_log.py."""

from __future__ import annotations

import argparse

NAME = "plot-log"
HELP = "plot training logs: test accuracy, test loss, learning rate, train loss"

_TYPES = (
    "what to plot: 0 test accuracy, 2 test loss, 4 learning rate, 6 train loss over iterations; "
    "1, 3, 5, 7 the same over seconds"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chart_type", type=int, choices=range(8), metavar="CHART_TYPE", help=_TYPES)
    parser.add_argument("output", metavar="PICTURE", help="the file to write: .png, .svg or .pdf")
    parser.add_argument("logs", nargs="+", metavar="LOG", help="logs of pycaffe-lite train, or of Caffe's")


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite.plot import training
    from pycaffe_lite.plot._figure import save

    save(training(args.chart_type, args.logs), args.output)
    print(f"Plotted {', '.join(args.logs)} to {args.output}")
    return 0
