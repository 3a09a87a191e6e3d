#!/usr/bin/env python3
"""Gets a net's initial weights: downloads, checks and converts what data/weights.yml names."""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/get_weights.py EfficientNet-Lite0        # make weights NET=EfficientNet-Lite0 is the same
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("net", metavar="NET", help="a net of data/weights.yml")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    import caffe
    from faster_rcnn.pretrained.published import get_weights
    from faster_rcnn.settings.config import cfg

    caffe.set_mode_cpu()
    print(f"Initial weights: {get_weights(args.net, cfg.DATA_DIR)}")


if __name__ == "__main__":
    entry.run(parse_args, main)
