"""The engine's log in glog's format, and a timer (pycaffe: init_log, log, Timer)."""
import datetime
import logging
import sys
import time
from typing import TextIO

import torch

from caffe.core import state

_LEVELS = {"DEBUG": "I", "INFO": "I", "WARNING": "W", "ERROR": "E", "CRITICAL": "F"}


class GlogFormatter(logging.Formatter):
    """Lines as glog writes them, which log parsers expect (Caffe: tools/extra/parse_log.py).

        I1128 22:10:33.123456 12345 solver.py:228] Iteration 0, loss = 2.3
    """

    def format(self, record: logging.LogRecord) -> str:
        """The message, with the prefix before each of its lines."""
        moment = datetime.datetime.fromtimestamp(record.created).strftime("%m%d %H:%M:%S.%f")
        prefix = (f"{_LEVELS.get(record.levelname, 'I')}{moment} {record.process:5d} "
                  f"{record.filename}:{record.lineno}] ")
        lines = super().format(record).splitlines() or [""]
        return "\n".join(prefix + line for line in lines)


def glog_handler(stream: TextIO | None = None) -> logging.Handler:
    """A handler for any logger that writes lines in glog's form (to stderr by default).

    Of several solvers that train together only rank 0 writes what is below a warning.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(GlogFormatter())
    handler.addFilter(_is_logged)
    return handler


def init_log(level: int = 0, stderr: bool = True) -> None:
    """Shows the engine's log with glog's prefixes; level: 0 info, 1 warning, 2 error."""
    logger = logging.getLogger("caffe")
    logger.handlers = [glog_handler(sys.stderr if stderr else sys.stdout)]
    logger.propagate = False
    logger.setLevel((logging.INFO, logging.WARNING, logging.ERROR)[min(int(level), 2)])


def _is_logged(record: logging.LogRecord) -> bool:
    """Of several solvers that train together, only rank 0 logs below the level of warnings."""
    return record.levelno > logging.INFO or state.solver_rank() == 0


def log(text: str) -> None:
    """Writes a line to the engine's log."""
    logging.getLogger("caffe").info("%s", text)


def mean_magnitude(tensor: torch.Tensor) -> float:
    """The mean absolute value, a float, which `debug_info` logs of every blob; 0 of an empty one.
    """
    return float(tensor.detach().abs().mean()) if tensor.numel() else 0.0


class Timer:
    """Measures intervals: pycaffe's start, stop and ms, py-faster-rcnn's tic and toc.

    waits_for_gpu: whether start and stop synchronize with the GPU.

    Attributes: diff (the last interval), total_time and average_time of all intervals, in seconds;
    calls (how many there were).
    """

    def __init__(self, waits_for_gpu: bool = True) -> None:
        self.waits_for_gpu = waits_for_gpu
        self.total_time = self.average_time = self.diff = 0.0
        self.calls = 0
        self.start_time = 0.0

    def start(self) -> None:
        """Begins an interval."""
        self.start_time = self._now()

    def stop(self) -> None:
        """Ends the interval."""
        self.diff = self._now() - self.start_time
        self.total_time += self.diff
        self.calls += 1
        self.average_time = self.total_time / self.calls

    @property
    def ms(self) -> float:
        """Milliseconds of the last interval."""
        return self.diff * 1e3

    def tic(self) -> None:
        """As `start`."""
        self.start()

    def toc(self, average: bool = True) -> float:
        """Ends the interval; returns the mean interval, or this one when `average` is false."""
        self.stop()
        return self.average_time if average else self.diff

    def _now(self) -> float:
        if self.waits_for_gpu and state.device().type == "cuda":
            torch.cuda.synchronize(state.device())
        return time.perf_counter()
