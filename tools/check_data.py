#!/usr/bin/env python3
"""Checks a data set: lists everything wrong with it, counts its objects, draws its annotations.

Exit status 0: clean; 1: something was found; 2: the data set cannot be used.
"""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options
from faster_rcnn.program import check

EXAMPLES = """\
  tools/check_data.py my/card.yml              all splits that are there
  tools/check_data.py my/card.yml:trainval
  tools/check_data.py voc_2007_trainval --quick
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    check.add_options(parser)
    return options.parse(parser)


if __name__ == "__main__":
    entry.run(parse_args, check.main)
