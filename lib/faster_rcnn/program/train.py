"""`faster-rcnn train DATA`: trains a detector by one of the three schedules, then tests it."""
import argparse
import os
import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from faster_rcnn.commands import options, values
from faster_rcnn.files import places
from faster_rcnn.program import test

if TYPE_CHECKING:
    from faster_rcnn.program.data import Data

EXAMPLES = """\
  faster-rcnn train my/pictures
  faster-rcnn train my/card.yml --schedule alternating --iters 600,1000,200,700
  faster-rcnn train my/pictures --net SqueezeNet --val val --patience 3 --tensorboard
  faster-rcnn train shapes --cpu --net Tiny --iters 1000 --name trial --set RNG_SEED 42
"""
USUAL_NET = "EfficientNet-Lite0"
# schedule: folder of its prototxts, its test net
SCHEDULES = {"joint": ("faster_rcnn_end2end", "test.prototxt"),
             "nonapprox": ("faster_rcnn_nonapprox", "test.prototxt"),
             "alternating": ("faster_rcnn_alt_opt", "faster_rcnn_test.pt")}
STAGES = 4          # trainings of the alternating schedule
VALIDATIONS = 10    # of a training, where nobody says how many


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for("Trains a detector by one of the three schedules, then tests it.",
                                EXAMPLES, prog)
    options.add_data(parser)
    parser.add_argument("--net", default=USUAL_NET, metavar="NET",
                        help=f"net to train: a folder of models/pascal_voc [{USUAL_NET}]")
    parser.add_argument("--schedule", default="joint", choices=SCHEDULES,
                        help="joint: RPN and detector together; nonapprox: the same, with "
                             "gradients through the box coordinates; alternating: RPN and "
                             "detector in turn, in four trainings [joint]")
    parser.add_argument("--weights", default=None, metavar="FILE",
                        help="initial weights [data/imagenet_models/<NET>.v2.caffemodel]")
    _add_numbers(parser)
    _add_validation(parser)
    parser.add_argument("--no-test", dest="test", action="store_false",
                        help="do not test the detector afterwards")
    parser.add_argument("--log", dest="log_file", default=usual_log(), metavar="FILE",
                        help="file that gets the whole log [output/logs/train_<time>.txt]")
    parser.add_argument("--resume", action="store_true",
                        help="skip what is finished, and continue the rest at its last checkpoint")
    parser.add_argument("--name", default=None, metavar="NAME",
                        help="the results go to output/NAME [named after the schedule]")
    options.add_common_args(parser)
    args = options.parse(parser, words)
    _check_numbers(parser, args)
    return args


def usual_log() -> str:
    """Where the log of a training started now goes."""
    return os.path.join(places.root(), "output", "logs",
                        time.strftime("train_%Y-%m-%d_%H-%M-%S.txt"))


def _add_numbers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--iters", type=values.numbers(int), default=None, metavar="N[,N,N,N]",
                        help="iterations; the alternating schedule takes four numbers, one for "
                             "each training, or one for all [chosen by the number of pictures]")
    options.add_epochs(parser)
    parser.add_argument("--lr", type=values.numbers(float), default=None, metavar="RATE[,...]",
                        help="initial learning rates, one or four [those of the solvers]")
    parser.add_argument("--steps", type=values.numbers(int), default=None, metavar="N[,...]",
                        help="iterations between drops of the learning rate, one number or four "
                             "[in proportion to the iterations, as in the solvers]")


def _add_validation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--val", default=None, metavar="SPLIT",
                        help="validate on this split of DATA while training; the best weights are "
                             "the result [no validation]")
    parser.add_argument("--val-iters", type=values.positive(int), default=None, metavar="N",
                        help=f"iterations between validations [{VALIDATIONS} validations in all]")
    parser.add_argument("--patience", type=values.count, default=0, metavar="N",
                        help="end the training when so many validations in a row were no better; "
                             "0: never [0]")
    parser.add_argument("--tensorboard", action="store_true",
                        help="also write losses, learning rate and validations for TensorBoard")


def _check_numbers(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuses numbers for stages that the schedule does not have."""
    allowed = (1, STAGES) if args.schedule == "alternating" else (1,)
    for name in ("iters", "lr", "steps"):
        given = getattr(args, name)
        if given is not None and len(given) not in allowed:
            parser.error(f"argument --{name}: {len(given)} numbers were given; --schedule "
                         f"{args.schedule} takes {' or '.join(map(str, allowed))}")
    if args.val is None and (args.val_iters or args.patience):
        parser.error("--val-iters and --patience need --val SPLIT")


def main(args: argparse.Namespace) -> None:
    """Runs this verb."""
    from faster_rcnn.commands import packages, start
    from faster_rcnn.networks.store import find_folder
    from faster_rcnn.program.data import Data
    from faster_rcnn.settings.config import cfg

    packages.require(*(packages.REPORT if args.test else ()),
                     *(["tensorboard"] if args.tensorboard else ()))
    data = Data.said(args)
    args.imdb_name = data.train
    args.cfg_file = args.cfg_file or settings_file(args)
    args.set_cfgs = chosen_settings(args, data) + (args.set_cfgs or [])
    start.apply_settings(args, show=False)
    folder = find_folder(cfg.MODELS_DIR, args.net, SCHEDULES[args.schedule][0], cfg.ROOT_DIR)
    start.use_means_of(os.path.join(folder, SCHEDULES[args.schedule][1]))
    start.show_settings(args)
    args.weights = initial_weights(args)
    start.use_device(args.gpu_id)
    final = (alternating if args.schedule == "alternating" else joint)(args, folder)
    if args.test:
        test_it(args, data, final)
    print(f"Detector: {final}\nFind objects in pictures with\n"
          f"  faster-rcnn detect {shlex.quote(final)} PICTURES")


def test_it(args: argparse.Namespace, data: "Data", final: str) -> None:
    """Tests the detector on the test set, where there is one, as `faster-rcnn test` does."""
    from faster_rcnn.settings.config import cfg_override

    if data.test is None:
        print(f"There is no test: {data.word} has no {data.card.test} set")
        return
    words = [final, data.word, "--gpu", str(args.gpu_id)]
    with cfg_override():
        test.main(test.parse_args("faster-rcnn test", words))


def settings_file(args: argparse.Namespace) -> str:
    """The settings of the schedule: those for the net, where there are some."""
    folder, method = places.shipped("cfgs"), SCHEDULES[args.schedule][0]
    own = os.path.join(folder, f"{method}_{args.net}.yml")
    return own if os.path.isfile(own) else os.path.join(folder, f"{method}.yml")


def chosen_settings(args: argparse.Namespace, data: "Data") -> list[str]:
    """What the options mean as KEY VALUE words, as --set takes them."""
    words = ["TRAIN.CURVE_ITERS", "20", "TRAIN.TENSORBOARD", str(args.tensorboard)]
    if args.name is not None:
        words += ["EXP_DIR", args.name]
    if args.val is not None:
        words += ["TRAIN.VAL_IMDB", data.imdb_name(args.val), "TRAIN.VAL_TAKE_BEST", "True",
                  "TRAIN.VAL_PATIENCE", str(args.patience)]
        every = args.val_iters or (max(args.iters) // VALIDATIONS if args.iters else 500)
        words += ["TRAIN.VAL_ITERS", str(max(1, every))]
    return words


def initial_weights(args: argparse.Namespace) -> str:
    """The path of the initial weights, which are got where they can be (data/weights.yml)."""
    from faster_rcnn.commands import start
    from faster_rcnn.settings.config import cfg
    usual = os.path.join(cfg.DATA_DIR, "imagenet_models", f"{args.net}.v2.caffemodel")
    return start.require_file(start.initial_weights(args.weights or usual), "initial weights",
                              " (--weights FILE names others)")


def joint(args: argparse.Namespace, folder: str) -> str:
    """Trains by one solver; returns the path of the final weights."""
    from faster_rcnn.prototxts.solver_files import Numbers
    from faster_rcnn.runs.random_state import seed_generators
    from faster_rcnn.training.training_run import TrainingOptions, run_training

    seed_generators()
    numbers = Numbers(*(given and given[0] for given in (args.iters, args.lr, args.steps)))
    return run_training(TrainingOptions(os.path.join(folder, "solver.prototxt"), args.imdb_name,
                                        args.weights, numbers, args.resume, args.epochs))


def alternating(args: argparse.Namespace, folder: str) -> str:
    """Trains RPN and Fast R-CNN in turn; returns the path of the final weights."""
    from faster_rcnn.schedules.alternating import FASTER_RCNN
    from faster_rcnn.schedules.files import ScheduleOptions
    from faster_rcnn.schedules.runner import run_schedule

    iters, rates, steps = (given and given * (STAGES // len(given))
                           for given in (args.iters, args.lr, args.steps))
    chosen = ScheduleOptions(args.net, args.imdb_name, args.weights, iters, rates, steps,
                             args.resume, epochs=args.epochs)
    return run_schedule(chosen, FASTER_RCNN)[0]
