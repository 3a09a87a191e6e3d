#!/usr/bin/env python3
"""Measures exported detectors over whole test sets: whether ONNX Runtime and OpenVINO find in the
file what the net finds, how large the file is, and the time of an image.

    tools/bench_export.py output/faster_rcnn_alt_opt/shapes_trainval       # the one of make demo
    tools/bench_export.py --made rfcn ssd --imdb bccd_test --images 20

Two detections are the same where class, corners (0.01 pixels) and score (0.0001) are. The programs
take turns, image by image, on one thread each; the time is the median of the processor's time, from
the picture to the detections, which other work on the machine disturbs least. The result is a table
of Markdown.
"""
import argparse
import contextlib
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import _init_paths  # noqa: F401  (makes the imports below work)
import cv2
import numpy as np
import torch
from measure import made_nets

import caffe
from caffe import export
from faster_rcnn.commands import described, start, tool
from faster_rcnn.commands.exports.choices import images_of
from faster_rcnn.commands.exports.onnx_files import proposals_of
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.export.checks import comparison, runtimes
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.making import class_names, whole_detector
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.files.atomic import write_text
from faster_rcnn.images.reading import read_image
from faster_rcnn.settings.config import cfg_override

HEAD = ("| detector | images | program | detections | unmatched | box, pixels | score | "
        "mean AP | ms per image | file, MB |\n|" + "---|" * 10)
NAMES = {"net": "the net itself", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
# name: (what the table calls it, its prototxt for a number of classes, settings of the test)
MADE = {"rfcn": ("R-FCN, ResNet-50, made weights", made_nets.rfcn,
                 {"HAS_RPN": True, "AGNOSTIC": True}),
        "ssd": ("SSD300, VGG16, made weights", made_nets.ssd300, {})}


@dataclass(frozen=True)
class Case:
    """A detector on its test set, and how many of its images are looked at."""

    name: str
    net: caffe.Net
    options: ExportOptions
    imdb: Any
    images: int


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detectors", nargs="*", metavar="DETECTOR",
                        help="described weights (.caffemodel), a folder with them, or an archive")
    parser.add_argument("--made", nargs="+", default=[], choices=sorted(MADE),
                        help="also nets with made weights, on --imdb")
    parser.add_argument("--imdb", default=None, metavar="NAME",
                        help="the test set [that of the description]")
    parser.add_argument("--images", type=int, default=0, metavar="N",
                        help="the first N images of each test set; 0: all, which alone have a mean "
                             "AP [0]")
    parser.add_argument("--threads", type=int, default=1, help="of each program [1]")
    parser.add_argument("--out", default=None, metavar="FILE", help="write the table to a file")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args(argv)
    if args.images < 0 or args.threads < 1:
        parser.error("--images must be at least 0, --threads at least 1")
    if not args.detectors and not args.made:
        parser.error("name a DETECTOR or --made")
    if args.made and args.imdb is None:
        parser.error("--made needs --imdb")
    return args


@contextlib.contextmanager
def trained(path: str, args: argparse.Namespace) -> Iterator[Case]:
    """The Case of described weights."""
    with described.opened_weights(path, "weights") as found, cfg_override():
        description = found.description
        if description is None:
            raise start.OptionError(f"{found.weights} has no description (tools/describe.py)")
        name = args.imdb or described.test_imdb(description)
        if name is None:
            raise start.OptionError(f"{found.weights}: no test set is described; name it (--imdb)")
        start.apply_settings(argparse.Namespace(cfg_file=None, set_cfgs=None, imdb_name=name),
                             show=False, described=description.settings)
        net = caffe.Net(description.net_message(), caffe.TEST, weights=found.weights)
        imdb, images = images_of(f"{name}:{args.images}", 0, None)
        described.check_classes(description, imdb, found.weights)
        test = replace(TestOptions.from_cfg(), has_rpn="im_info" in net.blobs)
        yield Case(net.name, net, ExportOptions(test, description.all_classes), imdb, images)


@contextlib.contextmanager
def made(kind: str, args: argparse.Namespace) -> Iterator[Case]:
    """The Case of one of MADE."""
    name, describe, settings = MADE[kind]
    with cfg_override(TEST=settings):
        imdb, images = images_of(f"{args.imdb}:{args.images}", 0, None)
        net = caffe.Net(describe(imdb.num_classes), caffe.TEST)
        options = ExportOptions(TestOptions.from_cfg(), class_names(net, imdb.classes))
        made_nets.fill(net, np.random.default_rng(1))
        made_nets.spread_outputs(net, net_detector(net, options),
                                 [read_image(imdb.image_path_at(0))])
        yield Case(name, net, options, imdb, images)


def rows(case: Case, threads: int, folder: str) -> list[str]:
    """The rows of the table: the net itself, then each program."""
    path = os.path.join(folder, "detector.onnx")
    files = export.write_onnx(whole_detector(case.net, case.options), path)
    size = sum(map(os.path.getsize, files)) / 1e6
    programs = {name: runtimes.start(name, path, threads) for name in runtimes.installed()}
    results = comparison.compare(net_detector(case.net, case.options), programs, case.imdb,
                                 case.images, proposals_of(case.net, case.imdb))
    return [f"| {case.name}, {case.imdb.name} | {case.images} | {NAMES[result.name]} | "
            f"{result.detections} | {result.unlike} | {result.box:.2g} | {result.score:.2g} | "
            f"{result.mean_ap:.4f} | {statistics.median(result.cpu_seconds) * 1e3:.1f} | "
            f"{size:.1f} |" for result in results]


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    caffe.set_mode_cpu()
    lines = [HEAD]
    print(HEAD)
    cases = [trained(path, args) for path in args.detectors] + [made(k, args) for k in args.made]
    for opening in cases:
        with opening as case, tempfile.TemporaryDirectory() as folder:
            found = rows(case, args.threads, folder)
        print("\n".join(found), flush=True)
        lines += found
    if args.out:
        write_text(args.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    tool.run(main)
