"""The log of a tool: what the user is shown on stdout, and the whole of it in a log file.

Shown are the detector's messages and the engine's warnings; -v shows everything, -q warnings alone.
The file that the environment variable FASTER_RCNN_LOG names, as the scripts in experiments/ do,
gets everything in any case: what -v would show, and what is printed on stdout and stderr.
"""
import logging
import os
import sys
import time
from typing import Any, TextIO

from faster_rcnn.runs.terminal import hide_bars, write_above_bars

# Which of Caffe's files prints what these functions of the solver print
_CAFFE_FILES = {"apply_update": "sgd_solver.cpp", "log_outputs": "solver.cpp"}


class LogHandler(logging.Handler):
    """Log lines on stdout that do not run into a progress bar, or in a file.

    Caffe's and py-faster-rcnn's scripts (parse_log.py) look for the engine's lines with glog's
    prefix:

        I1128 22:10:33.123456 12345 solver.cpp:228] Iteration 20, loss = 1.5
    """

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record, every line of it with the prefix."""
        prefix = glog_prefix(record) if record.name.split(".")[0] == "caffe" else ""
        lines = self.format(record).split("\n") if prefix else [self.format(record)]
        text = "\n".join(prefix + line for line in lines)
        if self._file is None:
            write_above_bars(text + "\n", getattr(sys.stdout, "shown", sys.stdout))
        else:
            self._file.write(text + "\n")


def glog_prefix(record: logging.LogRecord) -> str:
    """Severity, date, time with microseconds, process, file and line of a log record."""
    moment = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
    microseconds = int(record.created % 1 * 1e6)
    file = _CAFFE_FILES.get(record.funcName, record.filename.replace(".py", ".cpp"))
    return (f"{record.levelname[0]}{moment}.{microseconds:06d} {record.process:5d} "
            f"{file}:{record.lineno}] ")


class ShownStream:
    """A text stream whose lines stand above progress bars and go to the log file as well, where
    there is one; `shown` is the stream itself.
    """

    def __init__(self, shown: TextIO, file: TextIO | None) -> None:
        self.shown, self._file = shown, file

    def write(self, text: str) -> int:
        """Writes to both."""
        if self._file is not None:
            self._file.write(text)
        write_above_bars(text, self.shown)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.shown, name)


def start_log(quiet: bool = False, verbose: bool = False, path: str | None = None) -> None:
    """Sends the log of all modules to stdout, and to the log file where there is one.

    path: of the log file, where FASTER_RCNN_LOG names none.

    Where a program has set up a log of its own, nothing is changed. OSError where the log file
    cannot be written.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    shown = LogHandler()
    shown.addFilter(lambda record: record.levelno >= _least_level(record.name, quiet, verbose))
    root.addHandler(shown)
    root.setLevel(logging.INFO)
    path = os.environ.get("FASTER_RCNN_LOG") or path
    file = None
    if path and os.environ.get("RANK", "0") == "0":
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        file = open(path, "a", buffering=1, encoding="utf-8", errors="backslashreplace")
        root.addHandler(LogHandler(file))
    streams: Any = (ShownStream(sys.stdout, file), ShownStream(sys.stderr, file))
    sys.stdout, sys.stderr = streams
    if verbose or file:
        logging.getLogger("faster_rcnn").setLevel(logging.DEBUG)
    if quiet:
        hide_bars()


def _least_level(name: str, quiet: bool, verbose: bool) -> int:
    """The least level of a logger's records that are shown."""
    if verbose:
        return logging.DEBUG
    is_engine = name.split(".")[0] == "caffe"
    return logging.WARNING if quiet or is_engine else logging.INFO
