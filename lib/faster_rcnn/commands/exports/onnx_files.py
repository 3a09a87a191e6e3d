"""ONNX files: whole detectors, compared with the net over a data set, and parts of nets."""
import argparse
import os
from collections.abc import Iterator, Sequence
from typing import Any

import caffe
from caffe import export
from caffe.export.layers.graph import Form
from faster_rcnn.commands.exports.choices import (
    check_kind,
    check_options,
    export_options,
    images_of,
)
from faster_rcnn.export.checks import comparison, runtimes
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.half import half_precision
from faster_rcnn.export.making import whole_detector
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.export.quantized import quantized
from faster_rcnn.images.reading import read_image


def write_detector(args: argparse.Namespace, net: caffe.Net,
                   classes: Sequence[str] | None) -> None:
    """Writes a whole detector, and compares it with the net where --check asks for that."""
    check_kind(args, "a whole detector in ONNX")
    check_options(args)
    chosen = export_options(args, net, classes)
    model = whole_detector(net, chosen)
    if args.fp16:
        model = half_precision(model)
    if args.quantize:
        model = quantized(model, calibration_inputs(args, net))
    paths = export.write_onnx(model, args.out)
    print(f"classes: {', '.join(chosen.classes[1:])}")
    for path in paths:
        print(f"{path}: {os.path.getsize(path) / 1e6:.1f} MB")
    if args.check is not None:
        check_detector(args, net, chosen)


def write_part(args: argparse.Namespace, net: caffe.Net) -> None:
    """Writes the part of the net between --start and --end."""
    check_kind(args, "a part of a net, or a net that is no detector, in ONNX")
    part = export.select(net, args.start, args.end, dict(args.shape))
    model = export.to_onnx(net, part, Form(args.opset))
    export.write_onnx(model, args.out)
    for word, names in (("inputs", part.inputs), ("outputs", part.outputs)):
        print(f"{word}: " + ", ".join(f"{name} {net.blobs[name].shape}" for name in names))
    if args.check is not None:
        difference = export.largest_difference(net, part, model)
        print(f"largest difference in ONNX Runtime: {difference:.2g} of the largest value")


def calibration_inputs(args: argparse.Namespace, net: caffe.Net) -> Iterator[list[Any]]:
    """The inputs of the detector for the images of --calibrate."""
    imdb, count = images_of(args.calibrate, 100, args.imdb_name)
    proposals = proposals_of(net, imdb)
    for i in range(count):
        im = read_image(imdb.image_path_at(i))
        yield [im] if proposals is None else [im, proposals[i]]


def check_detector(args: argparse.Namespace, net: caffe.Net, chosen: ExportOptions) -> None:
    """Prints the table that compares the file with the net over a data set."""
    imdb, count = images_of(args.check, 0, args.imdb_name)
    programs = {name: runtimes.start(name, args.out) for name in runtimes.installed()}
    results = comparison.compare(net_detector(net, chosen), programs, imdb, count,
                                 proposals_of(net, imdb))
    print(comparison.table(results))


def proposals_of(net: caffe.Net, imdb: Any) -> list[Any] | None:
    """Of each image, where the net makes none; as float32."""
    if "im_info" in net.blobs or "rois" not in net.blobs:
        return None
    return [entry["boxes"][entry["gt_classes"] == 0].astype("float32") for entry in imdb.roidb]
