#!/usr/bin/env python3
"""Trains linear SVMs on the features of a Fast R-CNN net; they then classify in place of softmax.

Writes the weights, with the SVMs in cls_score, beside the given ones, to <name>_svm.caffemodel.
Test them with TEST.SVM True (experiments/cfgs/svm.yml).
"""
import argparse
import os

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/train_svms.py --gpu 0 --def models/pascal_voc/VGG16/fast_rcnn/test.prototxt \\
      --net output/default/voc_2007_trainval/vgg16_fast_rcnn_iter_40000.caffemodel \\
      --imdb voc_2007_trainval --cfg experiments/cfgs/svm.yml
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    options.add_net_args(parser, "test net without an RPN (prototxt)", "its weights (.caffemodel)")
    options.add_common_args(parser, "voc_2007_trainval")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    import numpy as np

    from faster_rcnn.commands import start
    from faster_rcnn.datasets.factory import get_imdb
    from faster_rcnn.detection.filled import require_filled
    from faster_rcnn.detectors.recording import describe_final
    from faster_rcnn.prototxts.adapt import adapted_test_net
    from faster_rcnn.settings.config import cfg, cfg_override, get_output_dir
    from faster_rcnn.training.svm import SVMTrainer

    start.apply_settings(args)
    start.use_device(args.gpu_id)
    args.prototxt = start.find_net(args.prototxt, "net (--def)")
    imdb = get_imdb(args.imdb_name)
    print(f"Loaded dataset `{imdb.name}` for training")
    imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD, cfg.TRAIN.PROPOSAL_FILE)
    start.wait_for(args.caffemodel, "weights (--net)", args.wait)
    np.random.seed(cfg.RNG_SEED)
    net = adapted_test_net(args.prototxt, args.caffemodel, imdb)
    require_filled(net, args.caffemodel, args.allow_random)
    if cfg.TRAIN.USE_FLIPPED:
        imdb.append_flipped_images()
    SVMTrainer(net, imdb).train()
    path = os.path.splitext(args.caffemodel)[0] + "_svm.caffemodel"
    net.save(path)
    print(f"Wrote svm model to: {path}")
    with cfg_override(TEST={"SVM": True}):
        describe_final(path, os.path.join(get_output_dir(imdb, net), os.path.basename(
            args.prototxt)), imdb.classes, args.imdb_name, {"schedule": "svm"})


if __name__ == "__main__":
    entry.run(parse_args, main)
