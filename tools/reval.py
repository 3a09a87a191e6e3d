#!/usr/bin/env python3
"""Evaluates the detections of an earlier test again, without running the net."""
import argparse
import os

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/reval.py output/default/voc_2007_test/vgg16_fast_rcnn_iter_40000 --imdb voc_2007_test --comp
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("output_dir", help="folder of a test, with detections.pkl")
    parser.add_argument("--matlab", dest="matlab_eval", action="store_true",
                        help="refused: there is no evaluation in MATLAB here")
    parser.add_argument("--comp", dest="comp_mode", action="store_true",
                        help="competition mode: keep the result files")
    parser.add_argument("--nms", dest="apply_nms", action="store_true",
                        help="apply NMS to the detections once more, with TEST.NMS")
    options.add_settings_args(parser, "voc_2007_test")
    return options.parse(parser)


def main(args: argparse.Namespace) -> None:
    from caffe.core.errors import UserError
    from faster_rcnn.commands import start
    from faster_rcnn.datasets.factory import get_imdb
    from faster_rcnn.detection.detect import apply_nms
    from faster_rcnn.detection.refinement import check_detections
    from faster_rcnn.files import safe_pickle
    from faster_rcnn.settings.config import cfg

    start.apply_settings(args, show=False)
    if args.matlab_eval:
        raise UserError("there is no MATLAB evaluation here; leave --matlab out, the evaluation "
                        "in Python computes the same numbers")
    path = os.path.join(args.output_dir, "detections.pkl")
    start.require_file(path, "detections")
    imdb = get_imdb(args.imdb_name, "test")
    imdb.competition_mode(args.comp_mode)
    all_boxes = safe_pickle.load(path)
    check_detections(all_boxes, imdb, path)
    if args.apply_nms:
        print("Applying NMS to all detections")
        all_boxes = apply_nms(all_boxes, cfg.TEST.NMS)
    print("Evaluating detections")
    imdb.evaluate_detections(all_boxes, args.output_dir)


if __name__ == "__main__":
    entry.run(parse_args, main)
