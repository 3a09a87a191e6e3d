#!/usr/bin/env python
"""Makes a Fast R-CNN net faster: truncated SVD of its fully connected layers.

--def-svd is the same net with <name>_L and <name>_U in place of fc6 and fc7; how far to compress is
what the layers <name>_L say. The weights go beside the given ones, to
<name>_svd_fc6_<K>_fc7_<K>.caffemodel.
"""
import os

import _init_paths  # noqa: F401  (makes the imports below work)

import caffe
from caffe.files import prototxt, weights
from faster_rcnn.commands import options, start, tool
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.compress import compress
from faster_rcnn.prototxts.options import NetOptions

EXAMPLES = """\
  tools/compress_net.py --def models/pascal_voc/VGG16/fast_rcnn/test.prototxt \\
      --def-svd models/pascal_voc/VGG16/fast_rcnn/compressed/test.prototxt \\
      --net output/default/voc_2007_trainval/vgg16_fast_rcnn_iter_40000.caffemodel
"""


def parse_args():
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE",
                        help="the net to compress (test prototxt)")
    parser.add_argument("--def-svd", dest="prototxt_svd", default=None, metavar="FILE",
                        help="the compressed net (test prototxt)")
    parser.add_argument("--net", dest="caffemodel", default=None, metavar="FILE",
                        help="weights to compress (.caffemodel)")
    return options.parse(parser)


def read_net(path, caffemodel):
    """The net of a prototxt with the weights, for as many classes as they are for."""
    message = prototxt.read_net(path)
    scores = weights.read_weights(caffemodel).get("cls_score")
    if scores:
        message = change_net(message, NetOptions.from_cfg(len(scores[0])), path).net
    return caffe.Net(message, caffe.TEST, weights=caffemodel)


def main():
    args = parse_args()
    args.prototxt = start.find_net(args.prototxt, "net (--def)")
    args.prototxt_svd = start.find_net(args.prototxt_svd, "compressed net (--def-svd)")
    start.require_file(args.caffemodel, "weights (--net)")
    caffe.set_mode_cpu()
    net, compressed = (read_net(path, args.caffemodel)
                       for path in (args.prototxt, args.prototxt_svd))
    print(f"Uncompressed network {args.prototxt} : {args.caffemodel}")
    print(f"Compressed network prototxt {args.prototxt_svd}")
    done = compress(net, compressed)
    path = (os.path.splitext(args.caffemodel)[0] + "_svd"
            + "".join(f"_{name}_{rank}" for name, rank in done) + ".caffemodel")
    compressed.save(path)
    print(f"Wrote svd model to: {path}")


if __name__ == "__main__":
    tool.run(main)
