"""The command `faster-rcnn VERB ...`, also `python -m faster_rcnn`."""
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from faster_rcnn.commands import entry

PROG = "faster-rcnn"
# verb: what it does; its module has the same name
VERBS = {
    "shapes": "draws a small data set to try things with",
    "init": "looks at a folder of annotated pictures, and writes a card for it",
    "check": "lists everything wrong with a data set, and draws its annotations",
    "anchors": "measures how well anchors cover the objects, and proposes better ones",
    "train": "trains a detector on a folder of annotated pictures or a card, then tests it",
    "test": "tests a detector on a data set, and writes a report",
    "detect": "finds objects in pictures, videos and camera images",
    "serve": "shows a web page on this machine that finds objects in pictures and videos",
    "export": "writes a detector as one ONNX file, or for PyTorch or Caffe",
    "report": "prints the report of a test, or makes it anew",
}


def script(words: Sequence[str] | None = None) -> NoReturn:
    """Runs the verb that the command line names, and exits."""
    words = sys.argv[1:] if words is None else words
    if not words or words[0] in ("-h", "--help"):
        with entry.unread_output():
            print(help_text())
        sys.exit(0 if words else 1)
    verb, rest = words[0], list(words[1:])
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        print(f"{PROG}: error: there is no {verb}{hint}; there are: {', '.join(VERBS)}",
              file=sys.stderr)
        sys.exit(2)
    module = importlib.import_module(f"faster_rcnn.program.{verb}")
    sys.argv[0] = PROG      # what errors and the command that continues call it
    entry.run(lambda: module.parse_args(f"{PROG} {verb}", rest), module.main, distributed=True)


def help_text() -> str:
    """What --help shows: the verbs."""
    width = max(map(len, VERBS))
    lines = [f"usage: {PROG} COMMAND ... ({PROG} COMMAND --help shows the options)", "",
             "Faster R-CNN: from annotated pictures to a detector in use.", "", "commands:"]
    return "\n".join([*lines, *(f"  {verb:{width}}  {text}" for verb, text in VERBS.items())])
