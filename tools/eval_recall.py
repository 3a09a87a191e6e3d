#!/usr/bin/env python3
"""Measures how many annotated objects the region proposals of a data set cover."""
import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options, values

if TYPE_CHECKING:
    from faster_rcnn.datasets.imdb import imdb

EXAMPLES = """\
  tools/eval_recall.py --imdb voc_2007_test --method selective_search
  tools/eval_recall.py --imdb voc_2007_test --method rpn --limit 300 \\
      --rpn-file output/default/voc_2007_test/zf_rpn/zf_rpn_rpn_proposals.pkl
"""
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("--method", default="selective_search", metavar="NAME",
                        help="selective_search, edge_boxes, mcg or rpn [selective_search]")
    parser.add_argument("--rpn-file", "--rpn_file", dest="rpn_file", default=None, metavar="FILE",
                        help="proposals of an RPN (tools/rpn_generate.py), for --method rpn")
    parser.add_argument("--proposals", default="", metavar="PATH",
                        help="file or folder of the proposals [the method's usual place]")
    parser.add_argument("--limit", type=values.positive(int), default=None, metavar="N",
                        help="only the first N proposals of an image [all]")
    options.add_settings_args(parser, "voc_2007_test")
    return options.parse(parser)


def recalls_at(found: dict, thresholds: Sequence[float]) -> list[float]:
    """Recalls of evaluate_recall's result at some of its thresholds."""
    import numpy as np

    return [found["recalls"][np.argmin(np.abs(found["thresholds"] - t))] for t in thresholds]


def print_table(data: "imdb", limit: int | None) -> None:
    """A line per range of object sizes."""
    from faster_rcnn.evaluation.recall import AREA_RANGES

    print("area      objects     AR " + " ".join(f" R@{t}" for t in THRESHOLDS))
    for area in AREA_RANGES:
        found = data.evaluate_recall(area=area, limit=limit)
        numbers = [found["ar"], *recalls_at(found, THRESHOLDS)]
        cells = [f"{number:6.3f}" if found["num_objects"] else "     -" for number in numbers]
        print(f"{area:8}{found['num_objects']:9d} " + "".join(cells))


def main(args: argparse.Namespace) -> None:
    from caffe.core.errors import UserError
    from faster_rcnn.commands import start
    from faster_rcnn.datasets.factory import get_imdb

    start.apply_settings(args, show=False)
    data = get_imdb(args.imdb_name, "test")
    if args.rpn_file is not None:
        data.config["rpn_file"] = args.rpn_file
    data.set_proposal_method(args.method, args.proposals)
    found = data.evaluate_recall(limit=args.limit)
    if not found["num_objects"]:
        raise UserError(f"{data.name} has no annotated objects to be covered")
    recalls = recalls_at(found, THRESHOLDS)
    print(f"Method: {args.method}")
    print(f"AverageRec: {found['ar']:.3f}")
    print("".join(f"Recall@{t}: {recall:.3f}\n" for t, recall in zip(THRESHOLDS, recalls)))
    # again, to be copied into a spreadsheet
    print("".join(f"{number:.3f}\n" for number in (found["ar"], *recalls)))
    print_table(data, args.limit)


if __name__ == "__main__":
    entry.run(parse_args, main)
