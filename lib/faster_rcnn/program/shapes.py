"""`faster-rcnn shapes`, and tools/make_shapes.py: draws the embedded data set."""
import argparse
import os
from collections.abc import Sequence

from faster_rcnn.commands import options, values

DESCRIPTION = """\
Draws the embedded data set, to try things with: textured shapes on cluttered backgrounds, in VOC's
layout.

Takes seconds and downloads nothing. The same options give the same bytes (with the same numpy and
OpenCV); a folder that has them already is left alone."""
EXAMPLES = """\
  faster-rcnn shapes                          data/shapes: 480 pictures to train on, 120 to test
  faster-rcnn shapes --trainval 40 --test 10 --output some/folder
"""


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for(DESCRIPTION, EXAMPLES, prog)
    add_options(parser)
    return options.parse(parser, words, needs_words=False)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb and the tool have in common."""
    parser.add_argument("--output", default=None, metavar="FOLDER",
                        help="folder to fill [data/shapes]")
    parser.add_argument("--seed", type=values.count, default=7, metavar="N",
                        help="seed of the whole set [7]")
    parser.add_argument("--trainval", type=values.positive(int), default=480, metavar="N",
                        help="training pictures [480]")
    parser.add_argument("--test", type=values.positive(int), default=120, metavar="N",
                        help="test pictures [120]")
    parser.add_argument("--force", action="store_true", help="draw again even if nothing changed")


def main(args: argparse.Namespace) -> None:
    """Runs this verb."""
    from faster_rcnn.settings.config import cfg
    from faster_rcnn.synthetic.shape_files import write_set

    folder = args.output or os.path.join(cfg.DATA_DIR, "shapes")
    drawn = write_set(folder, args.seed, args.trainval, args.test, args.force)
    print(f"{folder}: {args.trainval} trainval and {args.test} test pictures, "
          f"{'drawn' if drawn else 'up to date'}")
