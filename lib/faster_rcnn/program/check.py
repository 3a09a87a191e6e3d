"""`faster-rcnn check DATA`, and tools/check_data.py: what is wrong in a data set, what is in it."""
import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from faster_rcnn.commands import options

if TYPE_CHECKING:
    from faster_rcnn.own_data.check import SplitCheck

DESCRIPTION = """\
Checks a data set: lists everything wrong with it, counts its objects, draws its annotations.

Exit status 0: clean; 1: something was found; 2: the data set cannot be used."""
EXAMPLES = """\
  faster-rcnn check my/pictures
  faster-rcnn check my/card.yml              all splits that are there
  faster-rcnn check my/card.yml:trainval --quick
"""


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for(DESCRIPTION, EXAMPLES, prog)
    add_options(parser)
    return options.parse(parser, words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb and the tool have in common."""
    parser.add_argument("data", metavar="DATA",
                        help="a folder of annotated pictures, a data set card (name or path), or a "
                             "data set as --imdb takes it")
    parser.add_argument("--quick", action="store_true",
                        help="read only the beginning and the end of each image: do not decode it, "
                             "do not look for copies")
    parser.add_argument("--out", default=None, metavar="DIR",
                        help="folder of the report [output/check_data/<data set>]")


def lines_of(split: "SplitCheck", report: str) -> list[str]:
    """What is printed about a split; report: the path of the file with everything."""
    from faster_rcnn.own_data.check import SHOWN_PROBLEMS
    from faster_rcnn.reports.data_report import summary_lines

    lines = list(map(str, split.problems[:SHOWN_PROBLEMS]))
    more = len(split.problems) - len(lines)
    if more:
        lines.append(f"{more} more findings in {split.imdb.name}, all of them in {report}")
    return lines + summary_lines(split.numbers, split.notes)


def main(args: argparse.Namespace) -> int:
    """Runs this verb."""
    from caffe.core.errors import UserError
    from faster_rcnn.commands.data import make_ready
    from faster_rcnn.own_data.check import check
    from faster_rcnn.reports.data_report import write_data_report
    from faster_rcnn.settings.config import cfg

    make_ready(args.data)
    found = check(args.data, decode=not args.quick)
    name = os.path.splitext(os.path.basename(os.path.abspath(args.data)))[0].replace(":", "_")
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
