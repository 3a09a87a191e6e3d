"""`faster-rcnn check DATA`, and tools/check_data.py: what is wrong in a data set, what is in it."""
import argparse
from collections.abc import Sequence

from faster_rcnn.commands import options

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
                        help="look at the images' headers and ends only, do not decode them")
    parser.add_argument("--out", default=None, metavar="DIR",
                        help="folder of the report [output/check_data/<data set>]")


def main(args: argparse.Namespace) -> int:
    """Runs this verb."""
    from faster_rcnn.commands.checking import check

    return check(args.data, args.quick, args.out)
