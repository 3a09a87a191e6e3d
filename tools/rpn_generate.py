#!/usr/bin/env python
"""Generates region proposals for a data set with a trained RPN."""
import os

import _init_paths  # noqa: F401  (makes the imports below work)

from datasets.factory import get_imdb
from fast_rcnn import cli
from fast_rcnn.adapt import adapted_test_net
from fast_rcnn.alt_opt import PROPOSALS, write_proposals
from fast_rcnn.config import cfg_override, get_output_dir
from rpn.generate import imdb_proposals

EXAMPLES = """\
  tools/rpn_generate.py --gpu 0 --def models/pascal_voc/ZF/faster_rcnn_alt_opt/rpn_test.pt \\
      --net output/faster_rcnn_alt_opt/voc_2007_trainval/zf_rpn_stage1_iter_80000.caffemodel \\
      --imdb voc_2007_test --cfg experiments/cfgs/faster_rcnn_alt_opt.yml
"""


def parse_args():
    parser = cli.parser_for(__doc__, EXAMPLES)
    cli.add_net_args(parser, "net that makes proposals (rpn_test.pt)",
                     "weights of the RPN (.caffemodel)")
    cli.add_common_args(parser, "voc_2007_test")
    return cli.parse(parser)


def main():
    args = parse_args()
    cli.apply_settings(args)
    cli.use_device(args.gpu_id)
    args.prototxt = cli.find_net(args.prototxt, "net (--def)")
    imdb = get_imdb(args.imdb_name)
    cli.wait_for(args.caffemodel, "weights (--net)", args.wait)

    with cfg_override(**PROPOSALS):
        net = adapted_test_net(args.prototxt, args.caffemodel, imdb)
        proposals = imdb_proposals(net, imdb, shared=True)
    if proposals is not None:       # in the first process
        write_proposals(os.path.join(get_output_dir(imdb, net), net.name + "_rpn_proposals.pkl"),
                        proposals)


if __name__ == "__main__":
    cli.run(main, together=True)
