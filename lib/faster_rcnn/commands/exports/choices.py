"""What the command line says of the file to write."""
import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import caffe
from caffe.export.layers.graph import DEFAULT_OPSET, Form
from faster_rcnn.commands import start
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.detectors.finding import Found
from faster_rcnn.export.making import class_names
from faster_rcnn.export.options import ExportOptions

# Options that not everything obeys, with what stands in them where they are not given
_USUAL: dict[str, Any] = {"start": [], "end": [], "shape": [], "check": None, "fp16": False,
                          "quantize": None, "calibrate": None, "blobs": False, "v1": False,
                          "opset": DEFAULT_OPSET}
_PART = ("start", "end", "shape")
# what is written -> those of _USUAL that it obeys
_TAKEN = {"a whole detector in ONNX": ("check", "fp16", "quantize", "calibrate", "blobs", "opset"),
          "a part of a net, or a net that is no detector, in ONNX": (*_PART, "check", "opset"),
          "PyTorch source and programs": _PART, "weights as tensors": (),
          "a .caffemodel": ("v1",)}


def known_classes(args: argparse.Namespace, found: Found) -> Sequence[str] | None:
    """The names of the classes, with the background; None where nothing says them."""
    if args.classes is not None:
        return ["__background__", *args.classes]
    if args.imdb_name is not None:
        return list(get_imdb(args.imdb_name).classes)
    return None if found.description is None else found.description.all_classes


def export_options(args: argparse.Namespace, net: caffe.Net,
                   classes: Sequence[str] | None) -> ExportOptions:
    """What the settings and the command line say of a whole detector."""
    test = dataclasses.replace(TestOptions.from_cfg(), has_rpn="im_info" in net.blobs)
    return ExportOptions(test, class_names(net, classes, test.svm), args.det_thresh,
                         args.max_per_image, not args.blobs, Form(args.opset, free_sizes=True))


def images_of(text: str, usual: int, known: str | None) -> tuple[Any, int]:
    """The data set, and how many of its images, of [IMDB][:N]; without IMDB the one that is known,
    without N `usual` images, 0: all.
    """
    name, _, count = text.rpartition(":")
    if not count.isdigit():
        name, count = text, str(usual)
    imdb = get_imdb(str(name or known), "test")
    return imdb, min(int(count) or imdb.num_images, imdb.num_images)


def check_kind(args: argparse.Namespace, kind: str) -> None:
    """Raises OptionError for options that what is written, a `kind` of _TAKEN, does not obey."""
    given = [name for name, usual in _USUAL.items()
             if getattr(args, name) != usual and name not in _TAKEN[kind]]
    if given:
        raise start.OptionError(f"{', '.join('--' + name for name in given)} "
                                f"{'has' if len(given) == 1 else 'have'} no effect on {kind}")


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
