#!/usr/bin/env python
"""Prints the training and the test set of a data set card, a line each, as --imdb takes them."""
import _init_paths  # noqa: F401  (makes the imports below work)

from datasets.cards import load_card
from fast_rcnn import cli

EXAMPLES = """\
  tools/card_splits.py voc_2007
  tools/card_splits.py my/card.yml
"""


def main():
    parser = cli.parser_for(__doc__, EXAMPLES)
    parser.add_argument("card", help="name of a card in data/cards, or path of a card")
    args = cli.parse(parser)
    card = load_card(args.card)
    joint = ":" if args.card.endswith((".yml", ".yaml")) else "_"
    for split in (card.train, card.test):
        print(f"{args.card}{joint}{split}")


if __name__ == "__main__":
    cli.run(main)
