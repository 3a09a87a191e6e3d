#!/usr/bin/env python3
"""Shows the description of a detector, writes one for weights that have none, or packs weights and
description into one file.

Every training here writes a description beside its weights. For other weights, name their net,
classes and settings once; tests, the demo and faster_rcnn.Detector then need only the weights.
"""
import argparse
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options, values

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from faster_rcnn.detectors.description import Description
    from faster_rcnn.detectors.finding import Found

EXAMPLES = """\
  tools/describe.py data/faster_rcnn_models/VGG16_faster_rcnn_final.caffemodel --net VGG16
  tools/describe.py old.caffemodel --net SqueezeNet --card bccd --scale 480 \\
      --set ANCHOR_SCALES "[2,4,8]"
  tools/describe.py final.caffemodel                             # shows what is known
  tools/describe.py final.caffemodel --pack detector.frcnn.zip   # one file for a friend
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("caffemodel", metavar="WEIGHTS",
                        help="weights (.caffemodel), a folder with them, or an archive")
    parser.add_argument("--net", dest="demo_net", default=None, metavar="NET",
                        help="the net of the weights: a folder of models/pascal_voc")
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE",
                        help="the test net of the weights, if it is another one")
    parser.add_argument("--boxes", action="store_true",
                        help="the net is a Fast R-CNN, which needs given proposals")
    parser.add_argument("--card", default=None, metavar="CARD",
                        help="data set card with the classes [VOC's]")
    parser.add_argument("--thresh", type=values.share, default=None, metavar="P",
                        help="smallest score of a box if no other is asked for, 0 to 1 [0.8]")
    parser.add_argument("--pack", default=None, metavar="FILE",
                        help="write weights and description into this file (.zip)")
    options.add_scale(parser)
    options.add_settings_args(parser)
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    from faster_rcnn.commands import described
    from faster_rcnn.detectors.archive import write_archive
    from faster_rcnn.detectors.description_files import write_beside
    from faster_rcnn.detectors.summary import summary

    with found_weights(args) as found:
        description = found.description
        if is_said(args):
            description = described_anew(args, found)
            if not found.is_temporary:
                print(f"Wrote {write_beside(description, found.weights)}")
        if description is None:
            raise described.OptionError(f"{found.weights} has no description; name its net (--net "
                                        "or --def), and what differs from the defaults")
        print(summary(description))
        if args.pack:
            write_archive(description, found.weights, args.pack)
            print(f"Wrote {args.pack}")


def is_said(args: argparse.Namespace) -> bool:
    """Whether the command line says anything about the detector."""
    return any(value is not None for value in (args.demo_net, args.prototxt, args.card, args.thresh,
                                               args.scale, args.cfg_file, args.set_cfgs))


def found_weights(args: argparse.Namespace) -> "AbstractContextManager[Found]":
    """The weights; where their net is named, what lies beside them does not count."""
    from faster_rcnn.commands import described
    from faster_rcnn.detectors.finding import Found, find_weights

    if args.demo_net or args.prototxt:
        return nullcontext(Found(find_weights(args.caffemodel), None))
    return described.opened_weights(args.caffemodel, "weights")


def described_anew(args: argparse.Namespace, found: "Found") -> "Description":
    """The description that the command line and the present description make together."""
    from faster_rcnn.commands import described, start
    from faster_rcnn.detectors.detector import Detector

    wanted = described.Wanted(args.demo_net, args.prototxt, args.card, args.boxes)
    if found.description is None and not (wanted.net or wanted.prototxt):
        raise described.OptionError(f"{found.weights} has no description: name its net (--net, "
                                    "--def)")
    start.apply_settings(args, show=False,
                         described=described.settings_of(found.description) or wanted.settings())
    description = described.describe_wanted(found, wanted)
    if args.thresh is not None:
        description = replace(description, threshold=args.thresh)
    Detector(found.weights, "cpu", description=description)     # refuses what does not fit
    return description


if __name__ == "__main__":
    entry.run(parse_args, main)
