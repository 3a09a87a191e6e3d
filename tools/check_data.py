#!/usr/bin/env python3
"""Checks a data set: lists everything wrong with it, counts its objects, draws its annotations.

Exit status 0: clean; 1: something was found; 2: the data set cannot be used.
"""
import argparse
import os

import _init_paths  # noqa: F401  (makes the imports below work)

from caffe.core.errors import UserError
from faster_rcnn.commands import options, tool
from faster_rcnn.commands.data import make_ready
from faster_rcnn.own_data.check import SHOWN_PROBLEMS, SplitCheck, check
from faster_rcnn.reports.data_report import summary_lines, write_data_report
from faster_rcnn.settings.config import cfg

EXAMPLES = """\
  tools/check_data.py my/pictures              a folder: all splits
  tools/check_data.py my/card.yml              all splits that are there
  tools/check_data.py my/card.yml:trainval
  tools/check_data.py voc_2007_trainval --quick
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("data", help="data set card (name or path), folder, or a data set as "
                                     "--imdb takes it")
    parser.add_argument("--quick", action="store_true",
                        help="look at the images' headers and ends only: do not decode them, do "
                             "not look for copies")
    parser.add_argument("--out", default=None, metavar="DIR",
                        help="folder of the report [output/check_data/<data set>]")
    return options.parse(parser)


def lines_of(split: SplitCheck, report: str) -> list[str]:
    """What is printed about a split; report: the path of the file with everything."""
    lines = list(map(str, split.problems[:SHOWN_PROBLEMS]))
    more = len(split.problems) - len(lines)
    if more:
        lines.append(f"{more} more findings in {split.imdb.name}, all of them in {report}")
    return lines + summary_lines(split.numbers, split.notes)


def main() -> int:
    args = parse_args()
    make_ready(args.data)
    found = check(args.data, decode=not args.quick)
    name = os.path.splitext(os.path.basename(args.data.rstrip("/")))[0].replace(":", "_")
    report = write_data_report(
        [(split.imdb, split.problems, split.numbers) for split in found.splits],
        args.out or os.path.join(cfg.ROOT_DIR, "output", "check_data", name))
    for split in found.splits:
        print("\n".join(lines_of(split, report)))
    print(f"Report: {report}")
    for split in found.splits:
        if split.imdb.has_annotations and not split.numbers["objects"]:
            raise UserError(f"{split.imdb.name} has no object that can be used; see above")
    print(found.verdict())
    return 1 if found.num_findings else 0


if __name__ == "__main__":
    tool.run(main)
