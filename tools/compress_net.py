#!/usr/bin/env python3
"""Makes a Fast R-CNN net faster: truncated SVD of its fully connected layers.

--def-svd is the same net with <name>_L and <name>_U in place of fc6 and fc7; the outputs of
<name>_L are the rank K. The weights go beside the given ones, to
<name>_svd_fc6_<K>_fc7_<K>.caffemodel.
"""
import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

if TYPE_CHECKING:
    from caffe.proto.caffe_pb2 import NetParameter

EXAMPLES = """\
  tools/compress_net.py --def models/pascal_voc/VGG16/fast_rcnn/test.prototxt \\
      --def-svd models/pascal_voc/VGG16/fast_rcnn/compressed/test.prototxt \\
      --net output/default/voc_2007_trainval/vgg16_fast_rcnn_iter_40000.caffemodel
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE",
                        help="the net to compress (test prototxt)")
    parser.add_argument("--def-svd", dest="prototxt_svd", default=None, metavar="FILE",
                        help="the compressed net (test prototxt)")
    parser.add_argument("--net", "--weights", dest="caffemodel", default=None, metavar="FILE",
                        help="weights to compress (.caffemodel)")
    return options.parse(parser)


def adapted(path: str, caffemodel: str) -> "NetParameter":
    """The net of a prototxt for the number of classes that weights have."""
    from caffe.files import prototxt, weights
    from faster_rcnn.prototxts.changes import change_net
    from faster_rcnn.prototxts.options import NetOptions

    message = prototxt.read_net(path)
    scores = weights.read_weights(caffemodel).get("cls_score")
    if not scores:
        return message
    return change_net(message, NetOptions.from_cfg(len(scores[0])), path).net


def main(args: argparse.Namespace) -> None:
    import caffe
    from faster_rcnn.commands import start
    from faster_rcnn.detectors.description_files import read_beside, write_beside
    from faster_rcnn.networks.text import net_text
    from faster_rcnn.prototxts.compress import compress

    args.prototxt = start.find_net(args.prototxt, "net (--def)")
    args.prototxt_svd = start.find_net(args.prototxt_svd, "compressed net (--def-svd)")
    start.require_file(args.caffemodel, "weights (--net)")
    caffe.set_mode_cpu()
    net, compressed = (caffe.Net(adapted(path, args.caffemodel), caffe.TEST,
                                 weights=args.caffemodel)
                       for path in (args.prototxt, args.prototxt_svd))
    print(f"Uncompressed network {args.prototxt} : {args.caffemodel}")
    print(f"Compressed network prototxt {args.prototxt_svd}")
    done = compress(net, compressed)
    path = (os.path.splitext(args.caffemodel)[0] + "_svd"
            + "".join(f"_{name}_{rank}" for name, rank in done) + ".caffemodel")
    compressed.save(path)
    print(f"Wrote svd model to: {path}")
    known = read_beside(args.caffemodel)
    if known is not None:
        message = adapted(args.prototxt_svd, args.caffemodel)
        print(f"Description: {write_beside(replace(known, net=net_text(message), test={}), path)}")


if __name__ == "__main__":
    entry.run(parse_args, main)
