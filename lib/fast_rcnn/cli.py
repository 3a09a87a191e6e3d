"""What all tools share: common options, settings and device from them, one-line errors."""
import argparse
import logging
import os
import pprint
import re
import sys
import time

import torch
from tqdm import tqdm

import caffe
from caffe.errors import CaffeError, ShapeMismatchError
from fast_rcnn import ranks
from fast_rcnn.config import cfg, cfg_from_file, cfg_from_list
from fast_rcnn.config_checks import check_settings
from fast_rcnn.detections import Refinement
from faster_rcnn.networks.store import find

USER_ERRORS = (CaffeError, ValueError, KeyError, OSError)
OUT_OF_MEMORY = ("the GPU's memory is not enough; smaller pictures help (--scale 400), or the CPU "
                 "(--cpu)")

log = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line, once for all processes; --cpu overrides
    --gpu wherever it is.
    """

    def parse_known_args(self, args=None, namespace=None):
        known, rest = super().parse_known_args(args, namespace)
        if getattr(known, "cpu", False):
            known.gpu_id = "cpu"
        return known, rest

    def error(self, message):
        line = f"{self.prog}: error: {message} (--help shows all options)\n"
        self.exit(2, line if ranks.is_first_to_fail() else None)


def parser_for(description, examples):
    """An ArgumentParser with --debug that shows `examples` (command lines) below the options."""
    parser = _Parser(description=description, epilog="examples:\n" + examples,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_device_args(parser):
    """--gpu and --cpu."""
    parser.add_argument("--gpu", dest="gpu_id", default=0, type=gpu_or_cpu, metavar="N",
                        help="number of the GPU, or the word cpu [0]")
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU (overrides --gpu)")


def add_common_args(parser, imdb=None):
    """Device and settings; with `imdb`, the default one's name, also --imdb."""
    add_device_args(parser)
    parser.add_argument("--scale", type=side_and_cap, default=None, metavar="SIDE[,CAP]",
                        help="shorter side of the pictures for training and test, in pixels, and "
                             "a cap for the longer one [600,1000]")
    add_settings_args(parser, imdb)


def add_settings_args(parser, imdb=None):
    """--cfg and --set, and --imdb as above; alone, for the tools that run no net.

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


def add_net_args(parser, net, weights):
    """--def, --net and --wait of the tools that run a trained net; `net` and `weights` say what."""
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE", help=net)
    parser.add_argument("--net", dest="caffemodel", default=None, metavar="FILE", help=weights)
    parser.add_argument("--wait", type=flag, nargs="?", const=True, default=False,
                        metavar="YES", help="wait until the weights exist")


def parse(parser, argv=None):
    """The arguments; with none at all the help is shown and the exit status is 1."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        parser.print_help()
        sys.exit(1)
    return parser.parse_args(argv)


def gpu_or_cpu(text):
    """The type of --gpu: a whole number, or "cpu"."""
    if text.lower() == "cpu":
        return "cpu"
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f'"{text}" is neither the number of a GPU nor cpu')
    return int(text)


def side_and_cap(text):
    """The type of --scale: "480" or "480,800" -> (side, cap or None)."""
    numbers = text.split(",")
    if len(numbers) > 2 or not all(n.strip().isdigit() and int(n) > 0 for n in numbers):
        raise argparse.ArgumentTypeError(f'"{text}" is not SIDE or SIDE,CAP in pixels')
    return int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else None


def add_schedule_args(parser, example, count, iterations):
    """Options of a schedule with `count` training steps: net, weights, numbers, --resume.

    example: the name of a net; iterations: the help of --iters.
    """
    values = ",".join("ABCDE"[:count])
    parser.add_argument("--net_name", default=None, metavar="NET",
                        help=f"net to train: a folder of models/pascal_voc, such as {example}")
    parser.add_argument("--weights", dest="pretrained_model", default=None, metavar="FILE",
                        help="initial weights (.caffemodel)")
    parser.add_argument("--iters", type=per_step(int, count), default=None, metavar=values,
                        help=iterations)
    parser.add_argument("--lr", type=per_step(float, count), default=None, metavar=values,
                        help="learning rates to start with; one number serves all [the solvers']")
    parser.add_argument("--steps", type=per_step(int, count), default=None, metavar=values,
                        help="iterations after which the rate drops; one number serves all [the "
                             "solvers' share of the iterations]")
    parser.add_argument("--resume", action="store_true",
                        help="skip finished steps, continue the unfinished one at its checkpoint")


def per_step(kind, count):
    """The type of options with a value per training step: "a,b,c,d", or "a" for all of them."""
    def parse_values(text):
        try:
            values = tuple(kind(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) not in (1, count) or not all(value > 0 for value in values):
            words = {4: "four", 5: "five"}[count]
            raise argparse.ArgumentTypeError(
                f'"{text}" is not one positive number or {words}, separated by commas')
        return values * count if len(values) == 1 else values
    return parse_values


def positive(kind):
    """The type of options with one positive number."""
    def parse_positive(text):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not value > 0:
            raise argparse.ArgumentTypeError(f'"{text}" is not a positive number')
        return value
    return parse_positive


def flag(text):
    """The type of --wait: the words for no are false, whatever else true."""
    return text.strip().lower() not in ("", "0", "no", "false", "off")


def wait_for(path, what, wait):
    """Returns once the file is there; without `wait` a missing file is an error at once."""
    while wait and path is not None and not os.path.exists(path):
        log.info("Waiting for %s to exist...", path)
        time.sleep(10)
    require_file(path, what)


def apply_settings(args, show=True):
    """Merges --cfg, then --scale, then --set into cfg; `show`: says what is in force.

    ValueError where an option has a value that none of its meanings fits.
    """
    if args.cfg_file is not None:
        require_file(args.cfg_file, "settings file (--cfg)")
        cfg_from_file(args.cfg_file)
    if getattr(args, "scale", None) is not None:
        side, cap = args.scale
        for part in (cfg.TRAIN, cfg.TEST):
            part.SCALES = (side,)
            # without a cap of its own, the usual proportion of the two must still fit
            part.MAX_SIZE = cap or max(part.MAX_SIZE, round(side * 1000 / 600))
    if args.set_cfgs is not None:
        cfg_from_list(args.set_cfgs)
    check_settings(cfg)
    Refinement.of(cfg.TEST)     # says what is wrong with it now, not after a training
    if getattr(args, "gpu_id", "cpu") != "cpu":
        cfg.GPU_ID = args.gpu_id
    if show:
        log.info("Called with args:\n%s\nUsing config:\n%s", args, pprint.pformat(cfg))


def use_device(gpu_id):
    """Computes on GPU `gpu_id`, or on the CPU when it is "cpu".

    Of several processes on a machine (torchrun) each takes a GPU, counted from `gpu_id` on.
    """
    if gpu_id == "cpu":
        caffe.set_mode_cpu()
    else:
        caffe.set_device(ranks.gpu_of(gpu_id))
        caffe.set_mode_gpu()
    ranks.join()


def require_file(path, what, hint=""):
    """Raises FileNotFoundError with one clear line unless `path` is a file."""
    if path is None:
        raise ValueError(f"no {what} given{hint}")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{what} {path} does not exist{hint}")


def find_net(path, what):
    """The path of a prototxt that exists: as given, or one of ours, written on first use.

    what: its name in an error. Raises ValueError without a path, UnknownNetError.
    """
    if path is None:
        raise ValueError(f"no {what} given")
    return find(path, cfg.ROOT_DIR, what)


def run(main, together=False):
    """Runs a tool: exit status 0, or what main returns; 2 with one line for what the user can mend;
    130 after Ctrl-C.

    together: whether the tool works in several processes (torchrun); of those only the first that
    fails says why.
    --debug, or the environment variable FASTER_RCNN_DEBUG, shows the traceback instead.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_AboveBars()])
    debug = "--debug" in sys.argv or bool(os.environ.get("FASTER_RCNN_DEBUG"))
    try:
        ranks.start()
        if not (together or ranks.is_alone()):
            raise ValueError("this tool works in one process: start it without torchrun")
        status = main()
        ranks.leave()
        sys.exit(status or 0)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except USER_ERRORS as error:
        if debug:
            raise
        _fail("error: " + one_line(error) + _weights_hint(error), 2)
    except torch.OutOfMemoryError:
        if debug:
            raise
        _fail("error: " + OUT_OF_MEMORY, 2)
    except Exception:
        ranks.is_first_to_fail()    # the traceback says why, so the others need not
        raise


def _weights_hint(error):
    """What else the weights of layers that do not fit their net were trained with."""
    if not isinstance(error, ShapeMismatchError):
        return ""
    text = str(error)
    if re.search("rpn_(cls_score|bbox_pred)", text):
        return " (the weights were trained with other anchors: see ANCHOR_SCALES, ANCHOR_RATIOS)"
    if re.search("'(cls_score|bbox_pred|rfcn_cls)'", text):
        return " (the weights were trained for another number of classes than the data set has)"
    return ""


class _AboveBars(logging.Handler):
    """Log lines on stdout that do not run into a progress bar."""

    def emit(self, record):
        tqdm.write(self.format(record), file=sys.stdout)


def one_line(error):
    """An exception's message without line breaks; KeyError's quotes are not part of it."""
    is_plain_key_error = type(error).__str__ is KeyError.__str__ and error.args
    text = str(error.args[0]) if is_plain_key_error else str(error)
    return " ".join(text.split()) or type(error).__name__


def _fail(message, status):
    sys.stdout.flush()
    if ranks.is_first_to_fail():
        print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr, flush=True)
    ranks.break_off(status)
    sys.exit(status)
