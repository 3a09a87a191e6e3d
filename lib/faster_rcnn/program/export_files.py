"""The files that `faster-rcnn export` and tools/export_net.py write of a net with its weights."""
import argparse
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import safetensors.torch
import torch

import caffe
from caffe import export
from caffe.export.layers.graph import Form
from caffe.export.source.program import write_program
from faster_rcnn.commands import start
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.detectors.finding import Found
from faster_rcnn.export.checks import comparison, runtimes
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.half import half_precision
from faster_rcnn.export.making import class_names, whole_detector
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.export.pytorch.source import (
    makes_its_rois,
    write_detector_source,
    write_net_source,
)
from faster_rcnn.export.quantized import quantized
from faster_rcnn.files.atomic import atomic_open
from faster_rcnn.images.reading import read_image


def export_options(args: argparse.Namespace, net: caffe.Net,
                   classes: Sequence[str] | None) -> ExportOptions:
    """What the settings and the command line say of a whole detector."""
    test = dataclasses.replace(TestOptions.from_cfg(), has_rpn="im_info" in net.blobs)
    return ExportOptions(test, class_names(net, classes, test.svm), args.det_thresh,
                         args.max_per_image, not args.blobs, Form(args.opset, free_sizes=True))


def known_classes(args: argparse.Namespace, found: Found) -> Sequence[str] | None:
    """The names of the classes, with the background; None where nothing says them."""
    if args.classes is not None:
        return ["__background__", *args.classes]
    if args.imdb_name is not None:
        return list(get_imdb(args.imdb_name).classes)
    return None if found.description is None else found.description.all_classes


def write_detector(args: argparse.Namespace, net: caffe.Net,
                   classes: Sequence[str] | None) -> None:
    """Writes a whole detector, and compares it with the net where --check asks for that."""
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


def images_of(text: str, usual: int, known: str | None) -> tuple[Any, int]:
    """The data set, and how many of its images, of [IMDB][:N]; without IMDB the one that is known,
    without N `usual` images, 0: all.
    """
    name, _, count = text.rpartition(":")
    if not count.isdigit():
        name, count = text, str(usual)
    imdb = get_imdb(str(name or known), "test")
    return imdb, min(int(count) or imdb.num_images, imdb.num_images)


def proposals_of(net: caffe.Net, imdb: Any) -> list[Any] | None:
    """Of each image, where the net makes none; as float32."""
    if "im_info" in net.blobs or "rois" not in net.blobs:
        return None
    return [entry["boxes"][entry["gt_classes"] == 0].astype("float32") for entry in imdb.roidb]


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


def check_options(args: argparse.Namespace) -> None:
    """Raises OptionError for options of a whole detector that do not go together."""
    if args.fp16 and args.quantize:
        raise start.OptionError("--fp16 and --quantize are two ways; choose one")
    if bool(args.quantize) != bool(args.calibrate):
        raise start.OptionError("--quantize needs --calibrate, and the other way round")
    if args.blobs and (args.calibrate or args.check is not None):
        raise start.OptionError("--check and --calibrate are for files that take pictures, without "
                                "--blobs")
    if args.check == "" and args.imdb_name is None:
        raise start.OptionError("--check of a whole detector needs a data set (--check IMDB)")


def write_part(args: argparse.Namespace, net: caffe.Net) -> None:
    """Writes the part of the net between --start and --end."""
    part = export.select(net, args.start, args.end, dict(args.shape))
    model = export.to_onnx(net, part, Form(args.opset))
    export.write_onnx(model, args.out)
    for word, names in (("inputs", part.inputs), ("outputs", part.outputs)):
        print(f"{word}: " + ", ".join(f"{name} {net.blobs[name].shape}" for name in names))
    if args.check is not None:
        difference = export.largest_difference(net, part, model)
        print(f"largest difference in ONNX Runtime: {difference:.2g} of the largest value")


def write_pytorch(args: argparse.Namespace, net: caffe.Net, classes: Sequence[str] | None,
                  is_part: bool) -> None:
    """Writes PyTorch source, of a whole detector where the net is one, or a .pt2."""
    if args.check is not None or args.fp16 or args.quantize or args.calibrate or args.blobs:
        raise start.OptionError("--check, --fp16, --quantize, --calibrate and --blobs are for "
                                ".onnx")
    if args.out.endswith(".py") and makes_its_rois(net) and not is_part:
        paths = write_detector_source(net, export_options(args, net, classes), args.out)
    else:
        part = export.select(net, args.start, args.end, dict(args.shape))
        if args.out.endswith(".py"):
            paths = write_net_source(net, part, args.out)
        else:
            paths = [args.out]
            write_program(net, part, args.out)
    for path in paths:
        print(f"{path}: {os.path.getsize(path) / 1e6:.1f} MB")


def write_tensors(args: argparse.Namespace, net: caffe.Net) -> None:
    """Writes all weights of the net."""
    if args.start or args.end or args.shape or args.check is not None:
        raise start.OptionError("--start, --end, --shape and --check are for .onnx")
    tensors = export.state_dict(net)
    with atomic_open(args.out, "wb") as file:
        if args.out.endswith(".safetensors"):
            file.write(safetensors.torch.save(tensors))
        else:
            torch.save(tensors, file)
    print(f"{len(tensors)} tensors")
