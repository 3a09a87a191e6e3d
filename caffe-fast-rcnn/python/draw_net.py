#!/usr/bin/env python3
"""Draws a net's graph (Caffe: python/draw_net.py)."""
import argparse
import sys

import caffe
import caffe.draw
from caffe.tools.command import status_of

PHASES = {"TRAIN": caffe.TRAIN, "TEST": caffe.TEST, "ALL": None}


def draw(args: argparse.Namespace) -> None:
    """Draws the net of a prototxt into an image file, whose extension says of what kind."""
    net = caffe.prototxt.read_net(args.input_net_proto_file)
    print(f"Drawing net to {args.output_image_file}")
    caffe.draw.draw_net_to_file(net, args.output_image_file, args.rankdir, PHASES[args.phase],
                                args.display_lrm)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input_net_proto_file", help="net prototxt")
    parser.add_argument("output_image_file", help="image to write")
    parser.add_argument("--rankdir", default="LR", choices=("TB", "LR", "BT", "RL"),
                        help="direction of the graph: top to bottom, left to right, ... [LR]")
    parser.add_argument("--phase", default="ALL", choices=PHASES,
                        help="draw only what this phase has [ALL]")
    parser.add_argument("--display_lrm", action="store_true",
                        help="show the layers' learning rate multipliers")
    return status_of(draw, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
