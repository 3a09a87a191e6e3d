#!/usr/bin/env python
"""Trains a net by one solver: Faster R-CNN jointly (end2end), Fast R-CNN, or a net of your own."""
import _init_paths  # noqa: F401  (makes the imports below work)

from fast_rcnn import cli
from fast_rcnn.solver_files import Numbers
from fast_rcnn.train import seed_generators
from fast_rcnn.training_run import Options, run_training

EXAMPLES = """\
  tools/train_net.py --gpu 0 --solver models/pascal_voc/VGG16/faster_rcnn_end2end/solver.prototxt \\
      --weights data/imagenet_models/VGG16.v2.caffemodel --iters 70000 \\
      --imdb voc_2007_trainval+voc_2012_trainval --cfg experiments/cfgs/faster_rcnn_end2end.yml
  tools/train_net.py --cpu --solver models/pascal_voc/Tiny/faster_rcnn_end2end/solver.prototxt \\
      --weights data/imagenet_models/Tiny.v2.caffemodel --imdb shapes_trainval --resume \\
      --cfg experiments/cfgs/faster_rcnn_end2end_Tiny.yml
"""


def parse_args():
    parser = cli.parser_for(__doc__, EXAMPLES)
    parser.add_argument("--solver", default=None, metavar="FILE",
                        help="solver prototxt; the class counts of its net follow the data set")
    parser.add_argument("--iters", dest="max_iters", type=cli.positive(int), default=None,
                        metavar="N", help="iterations [the solver's max_iter, or 40000]")
    parser.add_argument("--weights", dest="pretrained_model", default=None, metavar="FILE",
                        help="initial weights (.caffemodel) [those of the net's fillers]")
    parser.add_argument("--rand", dest="randomize", action="store_true",
                        help="do not start the random generators at RNG_SEED")
    parser.add_argument("--lr", type=cli.positive(float), default=None, metavar="RATE",
                        help="learning rate to start with [the solver's]")
    parser.add_argument("--steps", type=cli.positive(int), default=None, metavar="N",
                        help="iterations after which the rate drops [the solver's stepsize, where "
                             "it has a max_iter in proportion to the iterations]")
    parser.add_argument("--resume", action="store_true",
                        help="continue an interrupted training at its checkpoint")
    cli.add_common_args(parser, "voc_2007_trainval")
    return cli.parse(parser)


def main():
    args = parse_args()
    cli.apply_settings(args)
    args.solver = cli.find_net(args.solver, "solver (--solver)")
    if not args.randomize:
        seed_generators()
    cli.use_device(args.gpu_id)
    final = run_training(Options(args.solver, args.imdb_name, args.pretrained_model,
                                 Numbers(args.max_iters, args.lr, args.steps), args.resume))
    print(f"Final model: {final}")


if __name__ == "__main__":
    cli.run(main, together=True)
