#!/usr/bin/env python3
"""Makes a folder of annotated pictures ready for training: says what is in it, writes its card."""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options
from faster_rcnn.program import init

EXAMPLES = """\
  tools/init_data.py my/pictures
  tools/init_data.py my/pictures --format yolo --again --seed 7
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    init.add_options(parser)
    return options.parse(parser)


if __name__ == "__main__":
    entry.run(parse_args, init.main)
