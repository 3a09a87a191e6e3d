"""`faster-rcnn init FOLDER`, and tools/init_data.py: a folder is made ready for training."""
import argparse
from collections.abc import Sequence

from faster_rcnn.commands import options, values

DESCRIPTION = "Makes a folder of annotated pictures ready for training: prints what is in it, " \
              "and writes its card."
EXAMPLES = """\
  faster-rcnn init my/pictures
  faster-rcnn init my/pictures --format yolo --again --seed 7
"""
# Those of faster_rcnn.datasets.cards.card, whose import takes time
FORMATS = ("voc", "coco", "yolo", "labelme", "csv", "cvat", "via", "createml", "labelstudio",
           "openimages")


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for(DESCRIPTION, EXAMPLES, prog)
    add_options(parser)
    return options.parse(parser, words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb and the tool have in common."""
    parser.add_argument("folder", help="folder with pictures and annotations, in any known format")
    parser.add_argument("--format", dest="form", default=None, choices=FORMATS,
                        help="which format to use if there are several [that of most pictures]")
    parser.add_argument("--seed", type=values.count, default=None, metavar="N",
                        help="seed of the division into training and test [always the same]")
    parser.add_argument("--again", action="store_true", help="write the card anew if there is one")


def main(args: argparse.Namespace) -> None:
    """Runs this verb."""
    from faster_rcnn.folders.division import SEED
    from faster_rcnn.own_data.init import init

    result = init(args.folder, args.form, SEED if args.seed is None else args.seed, args.again)
    for sentence in result.sentences:
        print(sentence)
    print(f"Train with: {result.command}")
