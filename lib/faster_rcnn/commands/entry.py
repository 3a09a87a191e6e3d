"""The start of a tool: its command line is read before anything that takes time is loaded.

    if __name__ == "__main__":
        entry.run(parse_args, main)

`main` imports what it needs itself, so that --help and a mistyped option answer at once.
"""
import argparse
from collections.abc import Callable
from typing import NoReturn


def run(parse: Callable[[], argparse.Namespace], main: Callable[[argparse.Namespace], int | None],
        distributed: bool = False) -> NoReturn:
    """Parses the command line, runs the tool with it and exits, as tool.run does."""
    args = parse()
    from faster_rcnn.commands import tool  # slow: PyTorch
    tool.run(main, distributed, args)
