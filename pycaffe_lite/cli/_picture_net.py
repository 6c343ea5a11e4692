"""The arguments of Caffe's classify.py and detect.py for a network that takes pictures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pycaffe_lite.cli._arguments import add_reuse_memory, numbers

if TYPE_CHECKING:
    from pycaffe_lite._typing import Array


def add_picture_net_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model_def", required=True, metavar="PROTOTXT", help="the network, for deployment")
    parser.add_argument("--pretrained_model", required=True, metavar="CAFFEMODEL", help="its weights")
    parser.add_argument("--gpu", action="store_true", help="accepted for Caffe's scripts; computes on the CPU")
    parser.add_argument("--mean_file", default="", metavar="FILE", help="the mean to subtract, .npy or .binaryproto")
    parser.add_argument("--input_scale", type=float, metavar="X", help="factor after the mean was subtracted")
    parser.add_argument(
        "--raw_scale", type=float, default=255.0, metavar="X", help="factor before, of values from 0 to 1 (default 255)"
    )
    parser.add_argument(
        "--channel_swap",
        type=numbers,
        default=[2, 1, 0],
        metavar="2,1,0",
        help="the channels' order; default 2,1,0: BGR of RGB; '' for networks of one channel",
    )
    add_reuse_memory(parser)


def picture_net_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The keywords of Classifier and Detector; raises MissingFileError, DataError and ParseError for the mean."""
    return {
        "model_file": args.model_def,
        "pretrained_file": args.pretrained_model,
        "mean": read_mean(args.mean_file) if args.mean_file else None,
        "input_scale": args.input_scale,
        "raw_scale": args.raw_scale,
        "channel_swap": args.channel_swap or None,
        "reuse_memory": args.reuse_memory,
    }


def read_mean(path: str) -> Array:
    """A mean, (channels,) or (channels, height, width), from numpy's file or Caffe's."""
    from pycaffe_lite._files import read_npy
    from pycaffe_lite.data.transformer import read_mean_image

    return read_npy(path) if path.endswith(".npy") else read_mean_image(path)
