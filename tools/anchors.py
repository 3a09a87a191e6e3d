#!/usr/bin/env python3
"""Measures how well anchors cover the objects of a data set, and proposes better ones."""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options
from faster_rcnn.program import anchors

EXAMPLES = """\
  tools/anchors.py --imdb my/card.yml:trainval --scale 600
  tools/anchors.py --imdb shapes_trainval --scale 240 \\
      --def models/pascal_voc/Tiny/faster_rcnn_alt_opt/rpn_test.pt
  tools/anchors.py --imdb voc_2007_trainval --set ANCHOR_SCALES "[4, 8, 16, 32]"
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    anchors.add_options(parser)
    options.add_common_args(parser, "voc_2007_trainval")
    return options.parse(parser)


if __name__ == "__main__":
    entry.run(parse_args, anchors.main)
