"""`faster-rcnn report FOLDER`: the figures of a test, from the files beside its detections."""
import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from faster_rcnn.commands import options

EXAMPLES = """\
  faster-rcnn report output/faster_rcnn_end2end/cells_test/tiny_faster_rcnn_iter_1000
  faster-rcnn report output                  the newest test below a folder
  faster-rcnn report output/... --again      evaluates the detections and writes the report anew
"""
METRICS, DETECTIONS, REPORT = "metrics.json", "detections.pkl", "report.md"


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for("Shows the report of a test, or makes it anew.", EXAMPLES, prog)
    parser.add_argument("folder",
                        help="folder of a test, or a folder above it: the newest test there")
    parser.add_argument("--again", action="store_true",
                        help="evaluate the detections and write the report anew")
    parser.add_argument("--imdb", dest="imdb_name", default=None, metavar="NAME",
                        help="--again: the data set of the test [that in the name of its folder]")
    return options.parse(parser, words)


def main(args: argparse.Namespace) -> None:
    """Runs this verb."""
    folder = newest_test(args.folder)
    if args.again:
        write_again(folder, args.imdb_name)
    path = os.path.join(folder, REPORT)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{folder} has no {REPORT}; --again writes it")
    print(summary(path))
    print(f"Report: {path}")


def newest_test(folder: str) -> str:
    """The folder of the newest test at or below a folder; FileNotFoundError where there is none."""
    found = [below for below, _, files in os.walk(folder) if METRICS in files]
    if not found:
        raise FileNotFoundError(f"there is no test in {folder} or below it: no {METRICS}")
    return max(found, key=lambda below: os.path.getmtime(os.path.join(below, METRICS)))


def summary(path: str) -> str:
    """The report up to its pictures."""
    with open(path, encoding="utf-8") as file:
        return file.read().partition("\n## ")[0].rstrip()


def write_again(folder: str, imdb_name: str | None) -> None:
    """Evaluates the detections in a folder, and writes its report anew."""
    from faster_rcnn.commands.start import require_file
    from faster_rcnn.datasets.factory import get_imdb
    from faster_rcnn.detection.refinement import check_detections
    from faster_rcnn.files import safe_pickle
    from faster_rcnn.reports.test_report import write_report

    path = require_file(os.path.join(folder, DETECTIONS), "detections")
    if imdb_name is None:
        with open(os.path.join(folder, METRICS), encoding="utf-8") as file:
            imdb_name = str(json.load(file)["imdb"])
    imdb = get_imdb(imdb_name)
    all_boxes: Any = safe_pickle.load(path)
    check_detections(all_boxes, imdb, path)
    metrics = imdb.evaluate_detections(all_boxes, folder)
    if metrics is not None:
        write_report(imdb, all_boxes, metrics, folder)
