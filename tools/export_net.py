#!/usr/bin/env python3
"""Writes a net in another program's form: ONNX (.onnx), or its weights as PyTorch tensors (.pt, a
state_dict for torch.load, or .safetensors).

The test net of a detector becomes one ONNX file from a picture to boxes, scores and labels, with
proposals, suppression and all. Other nets, and parts (--start, --end), have blobs as inputs and
outputs.
"""
import argparse
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import _init_paths  # noqa: F401  (makes the imports below work)
import safetensors.torch
import torch

import caffe
from caffe import export
from caffe.export.layers.graph import DEFAULT_OPSET, Form
from faster_rcnn.commands import described, options, start, tool, values
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.detection.filled import require_filled
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.detectors.finding import Found
from faster_rcnn.export.checks import comparison, runtimes
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.half import half_precision
from faster_rcnn.export.making import (
    class_names,
    is_whole_detector,
    net_for_classes,
    whole_detector,
)
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.export.quantized import quantized
from faster_rcnn.files.atomic import atomic_open
from faster_rcnn.images.reading import read_image

EXAMPLES = """\
  tools/export_net.py --net output/faster_rcnn_alt_opt/shapes_trainval --out tiny.onnx --check :20
  tools/export_net.py --def models/pascal_voc/Tiny/faster_rcnn_alt_opt/faster_rcnn_test.pt \\
      --net output/faster_rcnn_alt_opt/shapes_trainval/Tiny_faster_rcnn_final.caffemodel \\
      --imdb shapes_test --out tiny.onnx --check shapes_test \\
      --cfg experiments/cfgs/faster_rcnn_alt_opt_Tiny.yml
  tools/export_net.py --def deploy.prototxt --net squeezenet.caffemodel --out squeezenet.onnx
  tools/export_net.py --def faster_rcnn_test.pt --net final.caffemodel --out rpn.onnx \\
      --shape data=1,3,600,800 --end rpn_cls_prob_reshape rpn_bbox_pred conv5_3
  tools/export_net.py --def deploy.prototxt --net squeezenet.caffemodel --out squeezenet.safetensors
"""
SUFFIXES = (".onnx", ".pt", ".pth", ".safetensors")


def named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """The type of --shape: "data=1,3,600,800" -> (name, shape)."""
    name, _, numbers = text.rpartition("=")
    sizes = numbers.split(",")
    if not name or not all(size.strip().isdigit() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f'"{text}" is not BLOB=SIZE,SIZE,...')
    return name, tuple(map(int, sizes))


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("--def", dest="prototxt", metavar="FILE",
                        help="the net (prototxt) [the described one]")
    parser.add_argument("--net", dest="caffemodel", metavar="FILE",
                        help="its weights (.caffemodel or .h5), a folder with them, or an archive")
    parser.add_argument("--out", metavar="FILE", help="what to write: " + ", ".join(SUFFIXES))
    parser.add_argument("--opset", type=int, default=DEFAULT_OPSET, metavar="N",
                        help=f"ONNX: version of the operators [{DEFAULT_OPSET}]")
    parser.add_argument("--check", nargs="?", const="", default=None, metavar="IMDB[:N]",
                        help="ONNX: run the result and compare; a whole detector on a data set, or "
                             "its first N images, in every runtime that is installed")
    add_detector_args(parser.add_argument_group("whole detectors"))
    add_part_args(parser.add_argument_group("parts of nets, and other nets"))
    options.add_settings_args(parser)
    return options.parse(parser)


def add_detector_args(group: Any) -> None:
    group.add_argument("--imdb", dest="imdb_name", default=None, metavar="NAME",
                       help="a data set with the detector's classes [those described]")
    group.add_argument("--classes", default=None, type=lambda text: text.split(","),
                       metavar="A,B", help="or their names, without the background")
    group.add_argument("--num_dets", dest="max_per_image", default=100, type=values.count,
                       metavar="N", help="most detections per image; 0: all of them [100]")
    group.add_argument("--det_thresh", default=0.05, type=values.number, metavar="P",
                       help="detections score above this [0.05]")
    group.add_argument("--fp16", action="store_true",
                       help="half precision for weights and layers; boxes stay float32")
    group.add_argument("--quantize", choices=["int8"], default=None,
                       help="8 bits for weights and layers, by ONNX Runtime's tool; needs "
                            "--calibrate")
    group.add_argument("--calibrate", default=None, metavar="IMDB[:N]",
                       help="data set, or its first N images, that the ranges of --quantize are "
                            "measured on [100 images]")
    group.add_argument("--blobs", action="store_true",
                       help="take the net's input blobs instead of a picture: scaling and "
                            "subtraction of the means stay outside")


def add_part_args(group: Any) -> None:
    group.add_argument("--start", nargs="+", default=[], metavar="BLOB",
                       help="inputs in the place of what lies before them")
    group.add_argument("--end", nargs="+", default=[], metavar="BLOB",
                       help="the outputs [those of the net]")
    group.add_argument("--shape", nargs="+", type=named_shape, default=[], metavar="BLOB=N,C,H,W",
                       help="sizes of the inputs, which are fixed [those of the prototxt]")


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
    imdb = get_imdb(name or known, "test")
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


def load_net(args: argparse.Namespace, found: Found, classes: Sequence[str] | None) -> caffe.Net:
    """The net that --def names, or the described one, with its weights, on the CPU."""
    start.apply_settings(args, show=False, described=described.settings_of(found.description))
    caffe.set_mode_cpu()
    if args.prototxt or found.description is None:
        definition = start.find_net(args.prototxt, "net (--def)")
        net = net_for_classes(definition, found.weights, classes and len(classes))
    else:
        net = caffe.Net(found.description.net_message(), caffe.TEST, weights=found.weights)
    require_filled(net, found.weights, allow_random=False)
    return net


def main() -> None:
    args = parse_args()
    if not args.out or not args.out.endswith(SUFFIXES):
        raise start.OptionError(f"--out must name a file that ends in {', '.join(SUFFIXES)}")
    with described.opened_weights(args.caffemodel, "weights (--net)") as found:
        classes = known_classes(args, found)
        net = load_net(args, found, classes)
        if args.check is not None and args.imdb_name is None:
            args.imdb_name = described.test_imdb(found.description)
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    if not args.out.endswith(".onnx"):
        write_tensors(args, net)
    elif is_whole_detector(net) and not (args.start or args.end or args.shape):
        write_detector(args, net, classes)
    else:
        write_part(args, net)
    print(f"Wrote {args.out}")


if __name__ == "__main__":
    tool.run(main)
