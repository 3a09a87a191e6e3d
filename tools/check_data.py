#!/usr/bin/env python3
"""Checks a data set: lists everything wrong with it, counts its objects, draws its annotations.

Exit status 0: clean; 1: something was found; 2: the data set cannot be used.
"""
import argparse
import contextlib
import logging
import os
from collections.abc import Iterator

import _init_paths  # noqa: F401  (makes the imports below work)

from caffe.core.errors import UserError
from faster_rcnn.annotations.problems import Problem
from faster_rcnn.commands import options, tool
from faster_rcnn.datasets.card_imdb import card_imdb
from faster_rcnn.datasets.cards import is_card, load_card
from faster_rcnn.datasets.factory import card_split, find_card, get_imdb
from faster_rcnn.reports.data_check import find_problems, lenient, statistics
from faster_rcnn.reports.data_report import summary_lines, write_data_report
from faster_rcnn.settings.config import cfg

EXAMPLES = """\
  tools/check_data.py my/card.yml              all splits that are there
  tools/check_data.py my/card.yml:trainval
  tools/check_data.py voc_2007_trainval --quick
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("data", help="data set card (name or path), or a data set as --imdb takes "
                                     "it")
    parser.add_argument("--quick", action="store_true",
                        help="look at the images' headers and ends only, do not decode them")
    parser.add_argument("--out", default=None, metavar="DIR",
                        help="folder of the report [output/check_data/<data set>]")
    return options.parse(parser)


def data_sets(text: str) -> list[card_imdb]:
    """The data sets of a card, or the one of a name."""
    if is_card(text):
        card = lenient(load_card(text))
        splits = [split for split in card.split_names() if card.has_split(split)]
        return [card_split(card, split) for split in splits or [card.train]]
    card, split = find_card(text)
    imdb = card_split(lenient(card), split) if card else get_imdb(text)
    if not isinstance(imdb, card_imdb):
        raise UserError(f"{text} is a class of its own; only data sets with a card, VOC and COCO "
                        "can be checked")
    imdb.card = lenient(imdb.card)
    return [imdb]


@contextlib.contextmanager
def problems_not_logged() -> Iterator[None]:
    """Silences the log of data sets: their problems are printed here, each once."""
    logger = logging.getLogger("faster_rcnn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def checked(text: str, decode: bool) -> list[tuple[card_imdb, list[Problem], dict]]:
    """Each data set with its problems and statistics, which are printed."""
    checks, named = [], set()
    for imdb in data_sets(text):
        problems = [problem for problem in find_problems(imdb, decode) if problem not in named]
        named.update(problems)
        checks.append((imdb, problems, statistics(imdb)))
        for problem in problems:
            print(problem)
        print("\n".join(summary_lines(checks[-1][2], imdb.notes)), flush=True)
    return checks


def main() -> int:
    args = parse_args()
    with problems_not_logged():
        checks = checked(args.data, decode=not args.quick)
    name = os.path.splitext(os.path.basename(args.data))[0].replace(":", "_")
    report = write_data_report(checks, args.out or os.path.join(cfg.ROOT_DIR, "output",
                                                                "check_data", name))
    print(f"Report: {report}")
    for imdb, _, numbers in checks:
        if imdb.has_annotations and not numbers["objects"]:
            raise UserError(f"{imdb.name} has no object that can be used; see above")
    found = sum(len(problems) for _, problems, _ in checks)
    print(f"{found} findings" if found else "Nothing wrong was found")
    return 1 if found else 0


if __name__ == "__main__":
    tool.run(main)
