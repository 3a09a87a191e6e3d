#!/usr/bin/env python3
"""Prints the training and the test set of a data set, a line each, as --imdb takes them."""
import argparse
import contextlib
import os
import sys

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/card_splits.py voc_2007
  tools/card_splits.py my/card.yml
  tools/card_splits.py my/pictures
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("card", help="name of a card in data/cards, path of a card, or "
                                     "folder of annotated pictures")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    from faster_rcnn.commands.data import make_ready
    from faster_rcnn.datasets.cards import is_card, is_card_path, load_card
    from faster_rcnn.datasets.factory import folder_card

    is_folder = not is_card(args.card) and os.path.isdir(args.card)
    if is_folder:
        with contextlib.redirect_stdout(sys.stderr):    # scripts read the two lines below
            make_ready(args.card, print)
    card = folder_card(args.card) if is_folder else load_card(args.card)
    separator = ":" if is_folder or is_card_path(args.card) else "_"
    for split in (card.train, card.test):
        print(f"{args.card}{separator}{split}")


if __name__ == "__main__":
    entry.run(parse_args, main)
