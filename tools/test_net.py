#!/usr/bin/env python3
"""Tests a detector on a data set: detections, average precision, a report with pictures.

Net, data set and settings are those of the description beside the weights, unless the command line
names others.
"""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options
from faster_rcnn.program import test

EXAMPLES = """\
  tools/test_net.py --cpu --net output/faster_rcnn_alt_opt/shapes_trainval/\\
Tiny_faster_rcnn_final.caffemodel
  tools/test_net.py --gpu 0 --def models/pascal_voc/ZF/faster_rcnn_alt_opt/faster_rcnn_test.pt \\
      --net output/faster_rcnn_alt_opt/voc_2007_trainval/ZF_faster_rcnn_final.caffemodel \\
      --imdb voc_2007_test --cfg experiments/cfgs/faster_rcnn_alt_opt.yml
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    options.add_net_args(parser, "test net (prototxt); its class count follows the data set "
                         "[that of the description]",
                         "weights to test: a .caffemodel, a folder that holds one, or an archive")
    test.add_options(parser)
    options.add_common_args(parser, "voc_2007_test")
    parser.set_defaults(imdb_name=None)     # the description may name another one
    return options.parse(parser)


if __name__ == "__main__":
    entry.run(parse_args, test.main, distributed=True)
