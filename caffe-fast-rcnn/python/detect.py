#!/usr/bin/env python3
"""Classifies windows of images with an R-CNN model (Caffe: python/detect.py).

The windows come from a CSV file with the columns filename,ymin,xmin,ymax,xmax (--crop_mode list),
or from selective search in the images of a list of names, one a line.
"""
import argparse
import csv
import io
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import caffe
from caffe.core.regular_files import open_regular
from caffe.files.atomic import write_bytes
from caffe.tools.command import UsageError, status_of
from caffe.tools.preprocessing import add_net_args, preprocessing

CORNERS = ("ymin", "xmin", "ymax", "xmax")


def detect(args: argparse.Namespace) -> None:
    """Writes a line with the corners and the predictions of each window to args.output_file."""
    for path in (args.input_file, args.output_file):
        if not path.lower().endswith((".csv", ".txt")):
            raise UsageError(f"{path}: expected a .csv or .txt file")
    options = preprocessing(args)
    print("GPU mode" if args.gpu else "CPU mode")
    detector = caffe.Detector(args.model_def, args.pretrained_model,
                              context_pad=args.context_pad, **options)
    start = time.time()
    print("Loading input...")
    if args.crop_mode == "list":
        detections = detector.detect_windows(read_windows(args.input_file))
    else:
        detections = detector.detect_selective_search(read_names(args.input_file))
    print(f"Processed {len(detections)} windows in {time.time() - start:.3f} s.")
    write_detections(args.output_file, detections)
    print(f"Saved to {args.output_file}")


def read_names(path: str) -> list[str]:
    """The lines of a text file."""
    with open_regular(path, "r", encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def read_windows(path: str) -> list[tuple[str, np.ndarray]]:
    """[(image, windows (W, 4) float: ymin, xmin, ymax, xmax)] of a CSV file, images in its order.
    """
    windows = {}
    with open_regular(path, "r", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        missing = {"filename", *CORNERS} - set(rows.fieldnames or ())
        if missing:
            raise caffe.CaffeError(f"{path}:1: the columns {', '.join(sorted(missing))} are "
                                   "missing")
        for row in rows:
            try:
                corners = [float(row[name]) for name in CORNERS]
            except (TypeError, ValueError):
                raise caffe.CaffeError(f"{path}:{rows.line_num}: expected a file name and four "
                                       "numbers") from None
            windows.setdefault(row["filename"], []).append(corners)
    return [(name, np.array(corners)) for name, corners in windows.items()]


def write_detections(path: str, detections: Sequence[dict[str, Any]]) -> None:
    """Writes a CSV file; detections: dicts with filename, window (4,) and prediction (C,)."""
    classes = len(detections[0]["prediction"]) if detections else 0
    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow(["filename", *CORNERS, *(f"class{i}" for i in range(classes))])
    for detection in detections:
        writer.writerow([detection["filename"], *np.asarray(detection["window"]).tolist(),
                         *np.asarray(detection["prediction"]).tolist()])
    write_bytes(path, content.getvalue().encode())


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input_file", help="list of windows (.csv) or of images (.txt)")
    parser.add_argument("output_file", help=".csv to write")
    add_net_args(parser, "deploy.prototxt")
    parser.add_argument("--crop_mode", default="selective_search",
                        choices=("list", "selective_search"),
                        help="how windows are found [selective_search]")
    parser.add_argument("--context_pad", type=int, default=16,
                        help="pixels of the surroundings in each crop [16]")
    return status_of(detect, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
