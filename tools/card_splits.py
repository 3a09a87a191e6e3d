#!/usr/bin/env python
"""Prints the training and the test set of a data set card, a line each, as --imdb takes them."""
import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import options, tool
from faster_rcnn.datasets.cards import load_card

EXAMPLES = """\
  tools/card_splits.py voc_2007
  tools/card_splits.py my/card.yml
"""


def main() -> None:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("card", help="name of a card in data/cards, or path of a card")
    args = options.parse(parser)
    card = load_card(args.card)
    joint = ":" if args.card.endswith((".yml", ".yaml")) else "_"
    for split in (card.train, card.test):
        print(f"{args.card}{joint}{split}")


if __name__ == "__main__":
    tool.run(main)
