#!/usr/bin/env python3
"""Converts a checkpoint of another program (.pth, .pt, .safetensors, .npz, .onnx) to a .caffemodel,
and with --out_def also to the prototxt of its net.

Classifiers: torchvision's AlexNet, VGG, ResNet, SqueezeNet, MobileNetV2 and GoogLeNet, the
EfficientNet-Lite0 of efficientnet-lite-pytorch, and classifiers in ONNX files. Detectors: those of
simple-faster-rcnn-pytorch, faster-rcnn.pytorch (jwyang), pytorch-faster-rcnn (ruotianluo),
tf-faster-rcnn (VGG16, variables as .npz) and Detectron2 (C4). docs/importing.md says more.
"""
import argparse
import os
from collections.abc import Sequence

import _init_paths  # noqa: F401  (makes the imports below work)

import caffe
from caffe.core.errors import UserError
from caffe.files import prototxt, weights
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.commands import options, start, tool, values
from faster_rcnn.files.atomic import write_text
from faster_rcnn.networks.text import net_text
from faster_rcnn.pretrained.classifiers.geometry import adapt_geometry
from faster_rcnn.pretrained.families import convert
from faster_rcnn.pretrained.fitting import fit_to_net
from faster_rcnn.pretrained.from_onnx import graph
from faster_rcnn.pretrained.from_onnx.table import import_onnx
from faster_rcnn.pretrained.reading.checkpoints import read_checkpoint
from faster_rcnn.pretrained.reading.imported import Imported
from faster_rcnn.pretrained.reading.input_scale import (
    TORCHVISION_MEAN,
    TORCHVISION_STD,
    fold_scale,
    means_option,
    pixel_means,
)

EXAMPLES = """\
  tools/import_weights.py --from vgg16-397923af.pth --out data/imagenet_models/VGG16.v2.caffemodel
  tools/import_weights.py --from resnet50-0676ba61.pth --out resnet50.caffemodel \\
      --def ResNet-50-deploy.prototxt --out_def resnet50_v1.5.prototxt
  tools/import_weights.py --from fasterrcnn_12211511_0.701.pth --out vgg16_joint.caffemodel
  tools/import_weights.py --from faster_rcnn_1_6_10021.pth --out res101.caffemodel \\
      --out_def res101.prototxt
  tools/import_weights.py --from classifier.onnx --out classifier.caffemodel \\
      --out_def classifier.prototxt
"""


def three_numbers(text: str) -> tuple[float, ...]:
    """The type of --mean and --std: "0.485,0.456,0.406"."""
    numbers = tuple(values.number(part) for part in text.split(","))
    if len(numbers) != 3:
        raise argparse.ArgumentTypeError(f'"{text}" is not three numbers, separated by commas')
    return numbers


def sizes(text: str) -> tuple[int, ...]:
    """The type of --shape: "1,3,224,224"."""
    return tuple(values.positive(int)(part) for part in text.split(","))


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("--from", dest="checkpoint", metavar="FILE", help="the checkpoint")
    parser.add_argument("--out", metavar="FILE", help="the .caffemodel to write")
    parser.add_argument("--def", dest="prototxt", metavar="FILE",
                        help="the net (prototxt) that the weights are for: they are checked "
                             "against it, and biases that only the net has are written as zeros")
    parser.add_argument("--out_def", metavar="FILE",
                        help="file for the net that fits the weights: --def with their strides and "
                             "pads, or, without --def, a net that is written for them")
    parser.add_argument("--shape", type=sizes, default=None, metavar="N,C,H,W",
                        help="shape of the input of an ONNX file, if the file leaves it open")
    parser.add_argument("--input", choices=("torchvision", "caffe"),
                        help="what the net was trained on; torchvision: (RGB / 255 - mean) / std; "
                             "caffe: BGR from 0 to 255 minus means [for a detector as its "
                             "checkpoint says, for ONNX caffe, else torchvision]")
    parser.add_argument("--mean", type=three_numbers, default=TORCHVISION_MEAN, metavar="R,G,B",
                        help="of --input torchvision [0.485,0.456,0.406]")
    parser.add_argument("--std", type=three_numbers, default=TORCHVISION_STD, metavar="R,G,B",
                        help="of --input torchvision [0.229,0.224,0.225]")
    return options.parse(parser)


def check_args(args: argparse.Namespace) -> None:
    """Refuses options that are missing or do not go together."""
    start.require_file(args.checkpoint, "checkpoint (--from)")
    if not args.out:
        raise UserError("no file to write given (--out)")
    if args.prototxt:
        args.prototxt = start.find_net(args.prototxt, "net (--def)")
    paths = [os.path.realpath(path) for path in (args.checkpoint, args.out, args.out_def) if path]
    if len(set(paths)) < len(paths):
        raise UserError("--from, --out and --out_def must be different files")
    if min(args.std) <= 0:
        raise UserError(f"--std must be above 0, not {args.std}")


def read_net(args: argparse.Namespace) -> Imported:
    """The net of --from."""
    if not args.checkpoint.endswith(graph.SUFFIX):
        return convert(*read_checkpoint(args.checkpoint))
    if not args.out_def:
        raise UserError("an ONNX file brings its own net: name the prototxt to write (--out_def)")
    return import_onnx(args.checkpoint, args.shape)


def adapt_input(imported: Imported, args: argparse.Namespace) -> Sequence[float] | None:
    """Folds scale and channel order into the first convolution; returns the means to subtract."""
    is_as_it_was = imported.pixel_means is not None or imported.family == "onnx"
    if args.input == "caffe" or (args.input is None and is_as_it_was):
        return imported.pixel_means
    if not imported.first:
        raise UserError("--input torchvision is for nets that begin with a convolution")
    for name, _, arrays in imported.layers:
        if name == imported.first:
            arrays[0] = fold_scale(arrays[0], args.std)
    return pixel_means(args.mean)


def adapt_net(imported: Imported, args: argparse.Namespace) -> NetParameter | None:
    """The NetParameter of --def, adapted to the weights; without --def the one that they want,
    None where it is not known.
    """
    if not args.prototxt:
        if args.out_def and imported.message is None:
            raise UserError(f"--out_def for {imported.net} needs the net that it is made of "
                            "(--def)")
        return imported.message if args.out_def else None
    net = prototxt.read_net(args.prototxt)
    changes = adapt_geometry(net, imported.family)
    for change in changes:
        print(f"{args.out_def}: {change}" if args.out_def else
              f"warning: these weights do not fit {args.prototxt} as it is; --out_def would write "
              f"a net in which {change}")
    return net


def is_detector(imported: Imported) -> bool:
    """Whether the weights bring the whole net of a detector."""
    return imported.message is not None and any(name == "rpn_cls_score"
                                                for name, *_ in imported.layers)


def main() -> None:
    args = parse_args()
    check_args(args)
    caffe.set_mode_cpu()
    imported = read_net(args)
    means = adapt_input(imported, args)
    net = adapt_net(imported, args)
    if net is not None:
        missing = fit_to_net(imported, caffe.Net(net, caffe.TEST))
        print("layers of the net without weights here: " + (", ".join(missing) or "none"))
    elif is_detector(imported):     # of a classifier's products other sizes may be meant
        fit_to_net(imported, caffe.Net(imported.message, caffe.TEST))
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    weights.write_weights(args.out, imported.net, imported.layers)
    if args.out_def:
        write_text(args.out_def, net_text(net))
        print(f"Wrote {args.out_def}")
    print(f"Wrote {args.out}: {imported.net}, {len(imported.layers)} layers")
    for note in imported.notes:
        print(f"note: {note}")
    if means is not None:
        print(f"Its input is BGR from 0 to 255 minus these means; give the tools\n"
              f"  {means_option(means)}")


if __name__ == "__main__":
    tool.run(main)
