#!/usr/bin/env python3
"""Rewrites the Python files of an old fork for today's Python: the edits that need no thought.

Python 2's print, except, raise and <>, xrange, iteritems, cPickle; yaml.load without a loader;
np.float and its sisters; divisions in sizes and indices; text files that hold pickles. What is left
to do by hand is listed. Prints a diff, and with --write changes the files.
docs/moving_a_fork_over.md tells the rest.
"""
import argparse
import difflib
import sys
import tokenize

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/modernize.py lib/datasets/my_imdb.py lib/rpn/my_layer.py
  tools/modernize.py lib/datasets/my_imdb.py --write
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("files", nargs="+", metavar="FILE", help="Python files of the fork")
    parser.add_argument("--write", action="store_true", help="change the files")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    from faster_rcnn.commands import start
    from faster_rcnn.files.atomic import write_text
    from faster_rcnn.forks.modernize import modernized

    for path in args.files:
        start.require_file(path, "file")
        with tokenize.open(path) as file:
            old = file.read()
        new, left = modernized(old, path)
        sys.stdout.writelines(difflib.unified_diff(
            old.splitlines(keepends=True), new.splitlines(keepends=True), path, path))
        for remark in left:
            print(remark)
        if args.write and new != old:
            write_text(path, new)
            print(f"Wrote {path}")


if __name__ == "__main__":
    entry.run(parse_args, main)
