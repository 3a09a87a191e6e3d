"""The parser and the options that several tools share.

Imports nothing that takes time, since a command line is read before PyTorch is loaded.
"""
import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from faster_rcnn.commands.values import device_word, flag, per_step, positive, side_and_cap


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, once for all processes; --cpu overrides --gpu in
    any order. Options must be written out: an abbreviation is unknown.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}{self._meant(rest)}")
        return known

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, rest = super().parse_known_args(args, namespace)
        if getattr(known, "cpu", False):
            known.gpu_id = "cpu"
        return known, rest

    def error(self, message: str) -> NoReturn:
        line = f"{self.prog}: error: {message} (--help shows all options)\n"
        self.exit(2, line if _is_first_to_fail() else None)

    def _meant(self, words: Sequence[str]) -> str:
        """' (did you mean ...?)' for the first option among unknown words."""
        unknown = next((word.partition("=")[0] for word in words if word.startswith("--")), "")
        near = difflib.get_close_matches(unknown, self._option_string_actions, 1)
        return f" (did you mean {near[0]}?)" if near else ""


def _is_first_to_fail() -> bool:
    """Whether no other process of torchrun has reported an error before."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return True
    from faster_rcnn.runs import processes  # slow: PyTorch
    processes.start()
    return processes.is_first_to_fail()


def parser_for(description: str, examples: str, prog: str | None = None) -> Parser:
    """A parser with the options of every tool that shows `examples` (command lines) below them.

    prog: the command's name in messages; None: that of the file.
    """
    parser = Parser(prog=prog, description=description, epilog="examples:\n" + examples,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-q", "--quiet", action="store_true",
                        help="print only results, warnings and errors")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="print the whole log: all settings, every loss, every image")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--parse-only", action="store_true",
                        help="only check the command line")
    return parser


def add_device_args(parser: argparse.ArgumentParser) -> None:
    """Adds --gpu, --cpu and how the device computes."""
    parser.add_argument("--gpu", dest="gpu_id", default="auto", type=device_word, metavar="N",
                        help="number of the GPU, cpu, or auto: a GPU if PyTorch can use one, "
                             "else the CPU [auto]")
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU (overrides --gpu)")
    parser.add_argument("--deterministic", action="store_true",
                        help="the same run on a GPU gives the same numbers every time, "
                             "but takes longer")
    parser.add_argument("--tf32", action="store_true",
                        help="a GPU may compute in TF32: faster, less exact")
    parser.add_argument("--precision", choices=("float32", "bf16"), default=None,
                        help="number type in which nets multiply: bf16 takes less memory, and less "
                             "time if the device has instructions for it [that of the "
                             "detector's description, or float32]")


def add_common_args(parser: argparse.ArgumentParser, imdb: str | None = None) -> None:
    """Adds device and settings; with `imdb`, the name of the default data set, also --imdb."""
    add_device_args(parser)
    add_scale(parser)
    add_settings_args(parser, imdb)


def add_scale(parser: argparse.ArgumentParser) -> None:
    """Adds --scale."""
    parser.add_argument("--scale", type=side_and_cap, default=None, metavar="SIDE[,CAP]",
                        help="pictures are scaled until the shorter side has SIDE pixels, but the "
                             "longer one at most CAP [600,1000]")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds DATA."""
    parser.add_argument("data", metavar="DATA",
                        help="a folder of annotated pictures, or a data set card: its path, or its "
                             "name in data/cards")


def add_settings_args(parser: argparse.ArgumentParser, imdb: str | None = None) -> None:
    """Adds --cfg and --set, and --imdb as above; alone, for the tools that run no net.

    --set takes the rest of the command line, so it must come last.
    """
    if imdb is not None:
        parser.add_argument("--imdb", dest="imdb_name", default=imdb, metavar="NAME",
                            help="data set: voc_2007_trainval, <card>_<split> or path/to/card.yml:"
                                 f"split [{imdb}]")
    parser.add_argument("--cfg", dest="cfg_file", default=None, metavar="FILE",
                        help="file with settings (YAML)")
    parser.add_argument("--set", dest="set_cfgs", default=None, nargs=argparse.REMAINDER,
                        metavar="KEY VALUE",
                        help="single settings (docs/settings.md); must be the last option")


def add_net_args(parser: argparse.ArgumentParser, net: str, weights: str) -> None:
    """Adds the options of tools that run a trained net; `net` and `weights` are their helps."""
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE", help=net)
    parser.add_argument("--net", "--weights", dest="caffemodel", default=None, metavar="FILE",
                        help=weights)
    parser.add_argument("--wait", type=flag, nargs="?", const=True, default=False,
                        metavar="YES", help="wait until the weights exist")
    add_allow_random(parser)


def add_allow_random(parser: argparse.ArgumentParser) -> None:
    """Adds --allow-random."""
    parser.add_argument("--allow-random", action="store_true",
                        help="run the net even if the weights lack some of its layers; these keep "
                             "the random values of their fillers")


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
                        help="initial learning rates, or one for all [those of the solvers]")
    parser.add_argument("--steps", type=per_step(int, count), default=None, metavar=values,
                        help="iterations between drops of the learning rate, or one number for all "
                             "[in proportion to the iterations, as in the solvers]")
    parser.add_argument("--resume", action="store_true",
                        help="skip the finished steps, and continue the unfinished one at its last "
                             "checkpoint")


def add_epochs(parser: argparse.ArgumentParser) -> None:
    """Adds --epochs."""
    parser.add_argument("--epochs", type=positive(float), default=None, metavar="N",
                        help="instead of --iters: every training step sees each training picture N "
                             "times")


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None,
          needs_words: bool = True) -> argparse.Namespace:
    """The arguments; with none at all, where the tool needs some, the help is shown and the exit
    status is 1; with --parse-only it is 0 where they can be read.
    """
    argv = sys.argv[1:] if argv is None else argv
    if needs_words and not argv:
        parser.print_help()
        sys.exit(1)
    args = parser.parse_args(argv)
    if args.parse_only:
        sys.exit(0)
    return args
