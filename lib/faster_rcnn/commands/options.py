"""The parser and the options that several tools share."""
import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from faster_rcnn.commands.values import flag, gpu_or_cpu, per_step, positive, side_and_cap
from faster_rcnn.runs import processes


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, once for all processes; --cpu overrides --gpu in
    any order.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, rest = super().parse_known_args(args, namespace)
        if getattr(known, "cpu", False):
            known.gpu_id = "cpu"
        return known, rest

    def error(self, message: str) -> NoReturn:
        line = f"{self.prog}: error: {message} (--help shows all options)\n"
        self.exit(2, line if processes.is_first_to_fail() else None)


def parser_for(description: str, examples: str) -> argparse.ArgumentParser:
    """An ArgumentParser with --debug that shows `examples` (command lines) below the options."""
    parser = _Parser(description=description, epilog="examples:\n" + examples,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_device_args(parser: argparse.ArgumentParser) -> None:
    """Adds --gpu and --cpu."""
    parser.add_argument("--gpu", dest="gpu_id", default=0, type=gpu_or_cpu, metavar="N",
                        help="number of the GPU, or the word cpu [0]")
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU (overrides --gpu)")


def add_common_args(parser: argparse.ArgumentParser, imdb: str | None = None) -> None:
    """Adds device and settings; with `imdb`, the name of the default data set, also --imdb."""
    add_device_args(parser)
    parser.add_argument("--scale", type=side_and_cap, default=None, metavar="SIDE[,CAP]",
                        help="shorter side of the pictures for training and test, in pixels, and "
                             "a cap for the longer one [600,1000]")
    add_settings_args(parser, imdb)


def add_settings_args(parser: argparse.ArgumentParser, imdb: str | None = None) -> None:
    """Adds --cfg and --set, and --imdb as above; alone, for the tools that run no net.

    --set takes the rest of the command line, so it must come last.
    """
    if imdb is not None:
        parser.add_argument("--imdb", dest="imdb_name", default=imdb, metavar="NAME",
                            help="data set: voc_2007_trainval, <card>_<split> or path/to/card.yml:"
                                 f"split [{imdb}]")
    parser.add_argument("--cfg", dest="cfg_file", default=None, metavar="FILE",
                        help="settings (YAML)")
    parser.add_argument("--set", dest="set_cfgs", default=None, nargs=argparse.REMAINDER,
                        metavar="KEY VALUE", help="settings by name; must be the last option")


def add_net_args(parser: argparse.ArgumentParser, net: str, weights: str) -> None:
    """Adds the options of tools that run a trained net; `net` and `weights` are their helps."""
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE", help=net)
    parser.add_argument("--net", dest="caffemodel", default=None, metavar="FILE", help=weights)
    parser.add_argument("--wait", type=flag, nargs="?", const=True, default=False,
                        metavar="YES", help="wait until the weights exist")
    add_allow_random(parser)


def add_allow_random(parser: argparse.ArgumentParser) -> None:
    """Adds --allow-random."""
    parser.add_argument("--allow-random", action="store_true",
                        help="run the net even where the weights lack some of its layers, which "
                             "then keep the random values of their fillers")


def add_schedule_args(parser: argparse.ArgumentParser, example: str, count: int,
                      iterations: str) -> None:
    """Adds the options of a schedule with `count` training steps: net, weights, numbers, --resume.

    example: the name of a net; iterations: the help of --iters.
    """
    values = ",".join("ABCDE"[:count])
    parser.add_argument("--net_name", default=None, metavar="NET",
                        help=f"net to train: a folder of models/pascal_voc, such as {example}")
    parser.add_argument("--weights", dest="pretrained_model", default=None, metavar="FILE",
                        help="initial weights (.caffemodel)")
    parser.add_argument("--iters", type=per_step(int, count), default=None, metavar=values,
                        help=iterations)
    add_epochs(parser)
    parser.add_argument("--lr", type=per_step(float, count), default=None, metavar=values,
                        help="learning rates to start with; one number serves all [the solvers']")
    parser.add_argument("--steps", type=per_step(int, count), default=None, metavar=values,
                        help="iterations after which the rate drops; one number serves all [the "
                             "solvers' share of the iterations]")
    parser.add_argument("--resume", action="store_true",
                        help="skip finished steps, continue the unfinished one at its checkpoint")


def add_epochs(parser: argparse.ArgumentParser) -> None:
    """Adds --epochs."""
    parser.add_argument("--epochs", type=positive(float), default=None, metavar="N",
                        help="instead of --iters: how often each training picture is seen, in "
                             "every training step")


def parse(parser: argparse.ArgumentParser,
          argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments; with none at all the help is shown and the exit status is 1."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        parser.print_help()
        sys.exit(1)
    return parser.parse_args(argv)
