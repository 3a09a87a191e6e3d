#!/usr/bin/env python3
"""Makes a folder of annotated pictures ready for training: says what is in it, writes its card."""
import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import options, tool, values
from faster_rcnn.datasets.cards.card import FORMATS
from faster_rcnn.folders.division import SEED
from faster_rcnn.own_data.init import init

EXAMPLES = """\
  tools/init_data.py my/pictures
  tools/init_data.py my/pictures --format yolo --again --seed 7
"""
COMMAND = "./experiments/scripts/faster_rcnn_end2end.sh auto NET {}"


def main() -> None:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("folder", help="folder with pictures and annotations, in any known format")
    parser.add_argument("--format", dest="form", default=None, choices=FORMATS,
                        help="the format to take where there are several [that of most pictures]")
    parser.add_argument("--seed", type=values.count, default=SEED, metavar="N",
                        help=f"of the division into training and test [{SEED}]")
    parser.add_argument("--again", action="store_true", help="write a card that is there anew")
    args = options.parse(parser)
    result = init(args.folder, args.form, args.seed, args.again, COMMAND)
    for sentence in result.sentences:
        print(sentence)
    print(f"Train with: {result.command}")


if __name__ == "__main__":
    tool.run(main)
