#!/usr/bin/env python3
"""Generates region proposals for a data set with a trained RPN."""
import argparse
import os

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/rpn_generate.py --gpu 0 --def models/pascal_voc/ZF/faster_rcnn_alt_opt/rpn_test.pt \\
      --net output/faster_rcnn_alt_opt/voc_2007_trainval/zf_rpn_stage1_iter_80000.caffemodel \\
      --imdb voc_2007_test --cfg experiments/cfgs/faster_rcnn_alt_opt.yml
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    options.add_net_args(parser, "net that makes proposals (rpn_test.pt)",
                     "weights of the RPN (.caffemodel)")
    options.add_common_args(parser, "voc_2007_test")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    from faster_rcnn.commands import start
    from faster_rcnn.datasets.factory import get_imdb
    from faster_rcnn.detection.filled import require_filled
    from faster_rcnn.detection.proposals import imdb_proposals
    from faster_rcnn.prototxts.adapt import adapted_test_net
    from faster_rcnn.schedules.actions import write_proposals
    from faster_rcnn.schedules.alternating import PROPOSALS
    from faster_rcnn.settings.config import cfg_override, get_output_dir

    start.apply_settings(args)
    start.use_device(args.gpu_id)
    args.prototxt = start.find_net(args.prototxt, "net (--def)")
    start.use_means_of(args.prototxt)
    imdb = get_imdb(args.imdb_name, "test")
    start.wait_for(args.caffemodel, "weights (--net)", args.wait)

    with cfg_override(**PROPOSALS):
        net = adapted_test_net(args.prototxt, args.caffemodel, imdb)
        require_filled(net, args.caffemodel, args.allow_random)
        proposals = imdb_proposals(net, imdb, shared=True)
    if proposals is not None:       # in rank 0
        write_proposals(os.path.join(get_output_dir(imdb, net), net.name + "_rpn_proposals.pkl"),
                        proposals)


if __name__ == "__main__":
    entry.run(parse_args, main, distributed=True)
