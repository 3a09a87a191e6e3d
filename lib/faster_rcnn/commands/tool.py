"""A tool as a process: its log, its exit status, errors in one line."""
import logging
import os
import re
import sys

import torch
from tqdm import tqdm

from caffe.core.errors import ShapeMismatchError, UserError
from faster_rcnn.runs import processes

USER_ERRORS = (UserError, ValueError, KeyError, OSError)
OUT_OF_MEMORY = ("the GPU's memory is not enough; smaller pictures help (--scale 400), or the CPU "
                 "(--cpu)")


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
        processes.start()
        if not (together or processes.is_alone()):
            raise ValueError("this tool works in one process: start it without torchrun")
        status = main()
        processes.leave()
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
        processes.is_first_to_fail()    # the traceback says why, so the others need not
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
    if processes.is_first_to_fail():
        print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr, flush=True)
    processes.break_off(status)
    sys.exit(status)
