"""Progress bars and the lines that are printed above them.

A bar goes to stderr, or to the terminal itself where both streams are piped on (`2>&1 | tee`).
"""
import os
import stat
import sys
import time
from typing import TextIO

from tqdm import tqdm

from faster_rcnn.runs import processes

COLUMNS = 80        # of a terminal that does not know its width

_open_bars: list[tqdm] = []
_choice = {"hidden": False}


def hide_bars() -> None:
    """No bars are drawn from now on (-q)."""
    _choice["hidden"] = True


def terminal() -> TextIO | None:
    """Where a bar can be drawn; None where nobody would see it."""
    stream: TextIO = getattr(sys.stderr, "shown", sys.stderr)       # a log file gets no bar
    if stream.isatty():
        return stream
    try:
        if not stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            return None
        tty = open("/dev/tty", "w", encoding="utf-8")
        if os.tcgetpgrp(tty.fileno()) == os.getpgrp():      # not of a job in the background
            return tty
        tty.close()
    except (OSError, ValueError):       # no terminal, or a stdout that is no file
        pass
    return None


def open_bar(total: int, first: int, unit: str, stream: TextIO | None = None) -> tqdm | None:
    """A bar from `first` to `total`; None where there is no terminal or nobody wants one.

    stream: where to draw it, if that is a terminal [that of `terminal`].
    """
    if _choice["hidden"] or not processes.is_first():
        return None
    stream = terminal() if stream is None else stream
    if stream is None or not stream.isatty():
        return None
    known = _columns(stream) > 0
    bar = tqdm(total=total, initial=first, unit=unit, file=stream, leave=False,
               dynamic_ncols=known, ncols=None if known else COLUMNS)
    _open_bars.append(bar)
    return bar


def _columns(stream: TextIO) -> int:
    """The width of a terminal; 0 where it does not know its own (`script`, some containers)."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def close_bar(bar: tqdm | None) -> None:
    """Removes a bar of `open_bar` from the terminal."""
    if bar is not None:
        bar.close()
        _open_bars.remove(bar)


def write_above_bars(text: str, stream: TextIO) -> None:
    """Writes to a stream, with the bars out of the way until the line is complete."""
    for bar in _open_bars:
        bar.clear()
    stream.write(text)
    if not _open_bars:
        return
    stream.flush()
    for bar in _open_bars:
        if stream.isatty() and text.endswith("\n"):
            bar.refresh()
        else:       # the text may take a while through a pipe: drawn again with a later update
            bar.last_print_t = time.time()
