"""A tool as a process: its log, its exit status, errors in one line."""
import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

import torch

import caffe
from caffe.core.errors import ShapeMismatchError, UserError
from faster_rcnn.commands.log import start_log
from faster_rcnn.commands.packages import advice
from faster_rcnn.runs import processes
from faster_rcnn.runs.interrupts import Interrupted
from faster_rcnn.runs.processes import ProcessesError
from faster_rcnn.settings.config import cfg

OUT_OF_MEMORY = ("the GPU's memory is not enough; smaller pictures help (--scale 400), or the CPU "
                 "(--cpu)")
# Where this project's own code lies; code elsewhere is a user's or a library's
_OWN_FOLDERS = (*(os.path.join(cfg.ROOT_DIR, folder) for folder in (
    "lib/faster_rcnn", "lib/rpn", "lib/roi_data_layer", "lib/transform", "tools")),
    os.path.dirname(caffe.__file__))
_INSTALLED = (os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(torch.__file__)))
_NOT_THE_USERS = tuple(os.path.join(os.path.realpath(folder), "")
                       for folder in (*_OWN_FOLDERS, *_INSTALLED))


def run(main: Callable[..., int | None], distributed: bool = False,
        args: argparse.Namespace | None = None) -> NoReturn:
    """Runs a tool and exits: status 0, or what main returns; 2 after one line for what the user can
    mend; 130 after Ctrl-C, 128 + N after signal N.

    distributed: whether the tool works in several processes (torchrun); of those only the first
    that fails reports why. args: the command line, which main takes; None: main reads it itself.
    --debug, or the environment variable FASTER_RCNN_DEBUG, shows the traceback instead.
    """
    debug = "--debug" in sys.argv or bool(os.environ.get("FASTER_RCNN_DEBUG"))
    try:
        start_log(getattr(args, "quiet", False), getattr(args, "verbose", False),
                  getattr(args, "log_file", None))
        processes.start()
        if not (distributed or processes.is_alone()):
            raise ProcessesError("this tool works in one process: start it without torchrun")
        status = main() if args is None else main(args)
        processes.leave()
        sys.exit(status or 0)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Interrupted as stop:
        _fail(f"{stop}\n  exit status {stop.exit_status}; continue with\n  {resume_command()}",
              stop.exit_status)
    except Exception as error:
        line = None if debug else user_line(error, main)
        if line is None:
            processes.is_first_to_fail()    # the traceback says why, so the others need not
            raise
        _fail("error: " + line, 2)


def user_line(error: Exception, main: Callable) -> str | None:
    """One line about what the user can mend; None for a bug of ours, which needs its traceback.

    Errors in code of the user's (a data set class, a Python layer) name its file and line.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return " ".join([OUT_OF_MEMORY, *getattr(error, "__notes__", ())])
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "the main memory is not enough; smaller pictures help (--scale 400)"
    if isinstance(error, ModuleNotFoundError) and error.name and advice(error.name):
        return advice(error.name)
    if isinstance(error, (UserError, OSError)):
        return one_line(error) + _weights_hint(error)
    place = _place_in_users_code(error.__traceback__, main)
    return place and f"{place}: {type(error).__name__}: {one_line(error)}"


def _place_in_users_code(traceback: TracebackType | None, main: Callable) -> str | None:
    """'FILE:LINE in FUNCTION' of the innermost frame that is neither ours nor a library's."""
    place = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        path = os.path.realpath(code.co_filename)
        is_users = not path.startswith(_NOT_THE_USERS) and code.co_filename[0] != "<"
        if is_users and code is not main.__code__:
            place = f"{path}:{traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next
    return place


def resume_command() -> str:
    """The present command line with --resume, for a shell."""
    words = list(sys.argv)
    if "--resume" not in words:
        words.insert(words.index("--set") if "--set" in words else len(words), "--resume")
    return shlex.join(words)


def _weights_hint(error: Exception) -> str:
    """How the weights of layers that do not fit their net differ from it."""
    if not isinstance(error, ShapeMismatchError):
        return ""
    text = str(error)
    if re.search("rpn_(cls_score|bbox_pred)", text):
        return " (the weights were trained with other anchors: see ANCHOR_SCALES, ANCHOR_RATIOS)"
    if re.search("'(cls_score|bbox_pred|rfcn_cls)'", text):
        return " (the weights were trained for another number of classes than the data set has)"
    return ""


def one_line(error: BaseException) -> str:
    """An exception's message and notes without line breaks; KeyError's quotes are not part of it.
    """
    is_plain_key_error = type(error).__str__ is KeyError.__str__ and error.args
    text = str(error.args[0]) if is_plain_key_error else str(error)
    text = " ".join([text, *getattr(error, "__notes__", ())])
    return " ".join(text.split()) or type(error).__name__


def _fail(message: str, status: int) -> NoReturn:
    sys.stdout.flush()
    if processes.is_first_to_fail():
        print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr, flush=True)
    processes.abort(status)
    sys.exit(status)
