#!/usr/bin/env python3
"""Trains Faster R-CNN by alternating optimisation: RPN and Fast R-CNN in turn, two stages each."""
import argparse
import os

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/train_faster_rcnn_alt_opt.py --gpu 0 --net_name ZF --imdb voc_2007_trainval \\
      --weights data/imagenet_models/ZF.v2.caffemodel --cfg experiments/cfgs/faster_rcnn_alt_opt.yml
  tools/train_faster_rcnn_alt_opt.py --cpu --net_name Tiny --imdb shapes_trainval --resume \\
      --weights data/imagenet_models/Tiny.v2.caffemodel --iters 400,300,400,300 \\
      --cfg experiments/cfgs/faster_rcnn_alt_opt_Tiny.yml
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    options.add_schedule_args(parser, "ZF", 4,
                              "iterations of stage 1 RPN, stage 1 Fast R-CNN, stage 2 RPN, stage 2 "
                              "Fast R-CNN [the solvers' max_iter, or 80000,40000,80000,40000]")
    options.add_common_args(parser, "voc_2007_trainval")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    from faster_rcnn.commands import start
    from faster_rcnn.schedules.alternating import FASTER_RCNN
    from faster_rcnn.schedules.files import ScheduleOptions, model_folder
    from faster_rcnn.schedules.runner import run_schedule

    start.apply_settings(args, show=False)
    folder = model_folder(args.net_name, FASTER_RCNN.method, args.imdb_name)
    start.use_means_of(os.path.join(folder, FASTER_RCNN.test_nets[0]))
    start.show_settings(args)
    args.pretrained_model = start.initial_weights(args.pretrained_model)
    start.use_device(args.gpu_id)
    chosen = ScheduleOptions(args.net_name, args.imdb_name, args.pretrained_model,
                             iterations=args.iters, rates=args.lr, steps=args.steps,
                             resume=args.resume, epochs=args.epochs)
    final, _ = run_schedule(chosen, FASTER_RCNN)
    print(f"Final model: {final}")


if __name__ == "__main__":
    entry.run(parse_args, main, distributed=True)
