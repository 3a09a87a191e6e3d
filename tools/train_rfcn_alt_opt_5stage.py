#!/usr/bin/env python3
"""Trains R-FCN by alternating optimisation: RPN, R-FCN, RPN, R-FCN, RPN; proposals for a test."""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/train_rfcn_alt_opt_5stage.py --gpu 0 --net_name ResNet-50 --imdb voc_0712_trainval \\
      --imdb_test voc_0712_test --weights data/imagenet_models/ResNet-50-model.caffemodel \\
      --cfg experiments/cfgs/rfcn_alt_opt_5step_ohem.yml
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    options.add_schedule_args(parser, "ResNet-50", 5,
                              "iterations of stage 1 RPN, stage 1 R-FCN, stage 2 RPN, stage 2 "
                              "R-FCN, stage 3 RPN [80000,120000,80000,120000,80000]")
    parser.add_argument("--imdb_test", default="voc_2007_test", metavar="NAME",
                        help="data set that stage 3 makes proposals for [voc_2007_test]")
    parser.add_argument("--model", default=None, metavar="FOLDER",
                        help="folder of the prototxts in that of the net "
                             "[rfcn_alt_opt_5step_ohem]")
    options.add_common_args(parser, "voc_2007_trainval")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    from faster_rcnn.commands import start
    from faster_rcnn.schedules.files import ScheduleOptions, model_folder
    from faster_rcnn.schedules.rfcn import METHOD, RFCN_5_STAGES
    from faster_rcnn.schedules.runner import run_schedule

    start.apply_settings(args, show=False)
    model_folder(args.net_name, args.model or METHOD, args.imdb_name)
    start.show_settings(args)
    start.use_device(args.gpu_id)
    chosen = ScheduleOptions(args.net_name, args.imdb_name, args.pretrained_model,
                             iterations=args.iters, rates=args.lr, steps=args.steps,
                             resume=args.resume, test_imdb_name=args.imdb_test,
                             method=args.model, epochs=args.epochs)
    final, results = run_schedule(chosen, RFCN_5_STAGES)
    print(f"Final model: {final}")
    print(f"Final RPN: {results['stage3_test_proposals']}")


if __name__ == "__main__":
    entry.run(parse_args, main, distributed=True)
