#!/usr/bin/env python3
"""Trains a net by one solver: Faster R-CNN jointly (end2end), Fast R-CNN, or a net of your own."""
import argparse

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options, values

EXAMPLES = """\
  tools/train_net.py --gpu 0 --solver models/pascal_voc/VGG16/faster_rcnn_end2end/solver.prototxt \\
      --weights data/imagenet_models/VGG16.v2.caffemodel --iters 70000 \\
      --imdb voc_2007_trainval+voc_2012_trainval --cfg experiments/cfgs/faster_rcnn_end2end.yml
  tools/train_net.py --cpu --solver models/pascal_voc/Tiny/faster_rcnn_end2end/solver.prototxt \\
      --weights data/imagenet_models/Tiny.v2.caffemodel --imdb shapes_trainval --resume \\
      --cfg experiments/cfgs/faster_rcnn_end2end_Tiny.yml
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("--solver", default=None, metavar="FILE",
                        help="solver prototxt; the class counts of its net follow the data set")
    parser.add_argument("--iters", dest="max_iters", type=values.positive(int), default=None,
                        metavar="N", help="iterations [chosen by the number of pictures; for VOC "
                                          "and COCO the solver's max_iter, or 40000]")
    options.add_epochs(parser)
    parser.add_argument("--weights", dest="pretrained_model", default=None, metavar="FILE",
                        help="initial weights (.caffemodel) [random values of the net's fillers]")
    parser.add_argument("--rand", dest="randomize", action="store_true",
                        help="do not start the random generators at RNG_SEED")
    parser.add_argument("--lr", type=values.positive(float), default=None, metavar="RATE",
                        help="initial learning rate [that of the solver]")
    parser.add_argument("--steps", type=values.positive(int), default=None, metavar="N",
                        help="iterations between drops of the learning rate [the solver's "
                             "stepsize; in proportion to the iterations if it has a max_iter]")
    parser.add_argument("--resume", action="store_true",
                        help="continue an interrupted training at its last checkpoint")
    options.add_common_args(parser, "voc_2007_trainval")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    from faster_rcnn.commands import start
    from faster_rcnn.prototxts.solver_files import Numbers, net_of_solver
    from faster_rcnn.runs.random_state import seed_generators
    from faster_rcnn.training.training_run import TrainingOptions, run_training

    start.apply_settings(args, show=False)
    args.solver = start.find_net(args.solver, "solver (--solver)")
    start.use_means_of(net_of_solver(args.solver))
    start.show_settings(args)
    if not args.randomize:
        seed_generators()
    args.pretrained_model = start.initial_weights(args.pretrained_model)
    start.use_device(args.gpu_id)
    final = run_training(TrainingOptions(args.solver, args.imdb_name, args.pretrained_model,
                                         Numbers(args.max_iters, args.lr, args.steps),
                                         args.resume, args.epochs))
    print(f"Final model: {final}")


if __name__ == "__main__":
    entry.run(parse_args, main, distributed=True)
