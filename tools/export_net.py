#!/usr/bin/env python3
"""Writes a net for other programs: `faster-rcnn export` with the options of the tools."""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options
from faster_rcnn.program import export

EXAMPLES = """\
  tools/export_net.py --net output/faster_rcnn_alt_opt/shapes_trainval --out tiny.onnx --check :20
  tools/export_net.py --def models/pascal_voc/Tiny/faster_rcnn_alt_opt/faster_rcnn_test.pt \\
      --net output/faster_rcnn_alt_opt/shapes_trainval/Tiny_faster_rcnn_final.caffemodel \\
      --imdb shapes_test --out tiny.onnx --check shapes_test \\
      --cfg experiments/cfgs/faster_rcnn_alt_opt_Tiny.yml
  tools/export_net.py --def deploy.prototxt --net squeezenet.caffemodel --out squeezenet.onnx
  tools/export_net.py --def faster_rcnn_test.pt --net final.caffemodel --out rpn.onnx \\
      --shape data=1,3,600,800 --end rpn_cls_prob_reshape rpn_bbox_pred conv5_3
  tools/export_net.py --def deploy.prototxt --net squeezenet.caffemodel --out squeezenet.safetensors
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(export.DESCRIPTION, EXAMPLES)
    parser.add_argument("--net", "--weights", dest="caffemodel", metavar="FILE",
                        help="weights (.caffemodel or .h5), a folder with them, or an archive")
    export.add_options(parser)
    return options.parse(parser)


if __name__ == "__main__":
    entry.run(parse_args, export.main)
