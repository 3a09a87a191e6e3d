#!/usr/bin/env python3
"""Detects objects in pictures, videos and camera images; writes them with boxes, and result files.

Weights that were trained here are enough: their description has the net, the classes and the
settings. No display is needed.
"""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options
from faster_rcnn.program import detect

EXAMPLES = """\
  tools/demo.py --weights output/faster_rcnn_alt_opt/shapes_trainval/\\
Tiny_faster_rcnn_final.caffemodel data/shapes/JPEGImages
  tools/demo.py --weights detector.frcnn.zip holiday.jpg "pictures/**/*.png" clip.mp4 camera:0
  tools/demo.py --cpu --net ZF pictures/ --subfolders --out found --save json,csv
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("pictures", nargs="*", metavar="PICTURE",
                        help=f"{detect.PICTURES} [the five pictures of the original "
                             "demo in data/demo, which are not part of this project]")
    parser.add_argument("--weights", dest="caffemodel", default=None, metavar="FILE",
                        help="weights, a folder with them, or an archive [those of the net in "
                             "data/faster_rcnn_models, R-FCN: data/rfcn_models]")
    detect.add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    entry.run(parse_args, detect.main)
