"""draw: a picture of a network, with the arguments of Caffe's draw_net.py."""

from __future__ import annotations

import argparse

from pycaffe_lite.proto import caffe_pb2 as pb

NAME = "draw"
HELP = "draw a network as a picture: .svg, .png, .pdf or .dot"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input_net_proto_file", metavar="NET", help="a network's prototxt, or .caffemodel")
    parser.add_argument("output_image_file", metavar="PICTURE", help="the file to write; its ending says the format")
    parser.add_argument(
        "--rankdir",
        type=str.upper,
        choices=("TB", "BT", "LR", "RL"),
        default="LR",
        help="direction: TB is from top to bottom, LR (default) from left to right",
    )
    parser.add_argument(
        "--phase",
        type=str.upper,
        choices=("TRAIN", "TEST", "ALL"),
        default="ALL",
        help="draw the layers of this phase (default ALL)",
    )
    parser.add_argument("--display_lrm", action="store_true", help="show learning rate multipliers")


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite.draw import draw_net_to_file
    from pycaffe_lite.schema import read_net

    net, _ = read_net(args.input_net_proto_file)
    phase = None if args.phase == "ALL" else pb.Phase.Value(args.phase)
    draw_net_to_file(net, args.output_image_file, args.rankdir, phase, args.display_lrm)
    print(f"Drew {args.input_net_proto_file} to {args.output_image_file}")
    return 0
