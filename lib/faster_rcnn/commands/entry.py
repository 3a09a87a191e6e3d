"""The start of a tool: its command line is read before anything that takes time is loaded.

    if __name__ == "__main__":
        entry.run(parse_args, main)

`main` imports what it needs itself, so that --help and a mistyped option answer at once.
"""
import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn


def run(parse: Callable[[], argparse.Namespace], main: Callable[[argparse.Namespace], int | None],
        distributed: bool = False) -> NoReturn:
    """Parses the command line, runs the tool with it and exits, as tool.run does."""
    with unread_output():
        args = parse()
    from faster_rcnn.commands import tool  # slow: PyTorch
    tool.run(main, distributed, args)


@contextlib.contextmanager
def unread_output() -> Iterator[None]:
    """Ends the program without a traceback when nobody reads its help any more (--help | head).

    That is no failure: argparse passes over it as well, where its text is longer than the buffer.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:      # where it was closed before the program began
                sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        sys.exit(0)
