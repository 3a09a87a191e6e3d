#!/usr/bin/env python3
"""Draws the embedded data set: textured shapes on cluttered backgrounds, in VOC layout."""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options
from faster_rcnn.program import shapes

EXAMPLES = """\
  tools/make_shapes.py                        data/shapes: 480 pictures to train on, 120 to test
  tools/make_shapes.py --trainval 40 --test 10 --output some/folder
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(shapes.DESCRIPTION, EXAMPLES)
    shapes.add_options(parser)
    return options.parse(parser, needs_words=False)


if __name__ == "__main__":
    entry.run(parse_args, shapes.main)
