"""The log of a tool: the engine's lines as glog writes them, all others as they are."""
import logging
import sys
import time

from tqdm import tqdm

# Which of Caffe's files prints what these functions of the solver print
_CAFFE_FILES = {"apply_update": "sgd_solver.cpp", "log_outputs": "solver.cpp"}


class LogHandler(logging.Handler):
    """Log lines on stdout that do not run into a progress bar.

    Caffe's and py-faster-rcnn's scripts (parse_log.py) look for the engine's lines with glog's
    prefix:

        I1128 22:10:33.123456 12345 solver.cpp:228] Iteration 20, loss = 1.5
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record, every line of it with the prefix."""
        prefix = glog_prefix(record) if record.name.split(".")[0] == "caffe" else ""
        lines = self.format(record).split("\n") if prefix else [self.format(record)]
        tqdm.write("\n".join(prefix + line for line in lines), file=sys.stdout)


def glog_prefix(record: logging.LogRecord) -> str:
    """Severity, date, time with microseconds, process, file and line of a log record."""
    moment = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
    microseconds = int(record.created % 1 * 1e6)
    file = _CAFFE_FILES.get(record.funcName, record.filename.replace(".py", ".cpp"))
    return (f"{record.levelname[0]}{moment}.{microseconds:06d} {record.process:5d} "
            f"{file}:{record.lineno}] ")


def start_log() -> None:
    """Sends the log of all modules to stdout."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[LogHandler()])
