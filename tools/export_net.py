#!/usr/bin/env python3
"""Writes a net in another program's form: ONNX (.onnx), or its weights as PyTorch tensors (.pt, a
state_dict for torch.load, or .safetensors).
"""
import argparse
import os

import _init_paths  # noqa: F401  (makes the imports below work)
import safetensors.torch
import torch

import caffe
from caffe import export
from faster_rcnn.commands import options, start, tool
from faster_rcnn.files.atomic import atomic_open

EXAMPLES = """\
  tools/export_net.py --def deploy.prototxt --net squeezenet.caffemodel --out squeezenet.onnx
  tools/export_net.py --def faster_rcnn_test.pt --net final.caffemodel --out rpn.onnx \\
      --shape data=1,3,600,800 --end rpn_cls_prob_reshape rpn_bbox_pred conv5_3
  tools/export_net.py --def faster_rcnn_test.pt --net final.caffemodel --out head.onnx \\
      --shape conv5_3=1,512,38,50 rois=300,5 --start conv5_3 rois --end cls_prob bbox_pred
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
    parser.add_argument("--def", dest="prototxt", metavar="FILE", help="the net (prototxt)")
    parser.add_argument("--net", dest="caffemodel", metavar="FILE",
                        help="its weights (.caffemodel or .h5)")
    parser.add_argument("--out", metavar="FILE", help="what to write: " + ", ".join(SUFFIXES))
    parser.add_argument("--start", nargs="+", default=[], metavar="BLOB",
                        help="ONNX: inputs in the place of what lies before them")
    parser.add_argument("--end", nargs="+", default=[], metavar="BLOB",
                        help="ONNX: the outputs [those of the net]")
    parser.add_argument("--shape", nargs="+", type=named_shape, default=[],
                        metavar="BLOB=N,C,H,W",
                        help="ONNX: sizes of the inputs, which are fixed [those of the prototxt]")
    parser.add_argument("--check", action="store_true",
                        help="ONNX: run the result in onnx's reference evaluator and compare; slow")
    options.add_settings_args(parser)
    return options.parse(parser)


def write_onnx(args: argparse.Namespace, net: caffe.Net) -> None:
    """Writes the part of the net between --start and --end."""
    part = export.select(net, args.start, args.end, dict(args.shape))
    model = export.to_onnx(net, part)
    with atomic_open(args.out, "wb") as file:
        file.write(model.SerializeToString())
    for word, names in (("inputs", part.inputs), ("outputs", part.outputs)):
        print(f"{word}: " + ", ".join(f"{name} {net.blobs[name].shape}" for name in names))
    if args.check:
        difference = export.largest_difference(net, part, model)
        print(f"largest difference in onnx's reference evaluator: {difference:.2g} of the largest "
              "value")


def write_tensors(args: argparse.Namespace, net: caffe.Net) -> None:
    """Writes all weights of the net."""
    if args.start or args.end or args.shape or args.check:
        raise start.OptionError("--start, --end, --shape and --check are for .onnx")
    tensors = export.state_dict(net)
    with atomic_open(args.out, "wb") as file:
        if args.out.endswith(".safetensors"):
            file.write(safetensors.torch.save(tensors))
        else:
            torch.save(tensors, file)
    print(f"{len(tensors)} tensors")


def main() -> None:
    args = parse_args()
    args.prototxt = start.find_net(args.prototxt, "net (--def)")
    start.require_file(args.caffemodel, "weights (--net)")
    if not args.out or not args.out.endswith(SUFFIXES):
        raise start.OptionError(f"--out must name a file that ends in {', '.join(SUFFIXES)}")
    start.apply_settings(args, show=False)
    caffe.set_mode_cpu()
    net = caffe.Net(args.prototxt, args.caffemodel, caffe.TEST)
    start.require_filled(net, args.caffemodel, allow_random=False)
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    (write_onnx if args.out.endswith(".onnx") else write_tensors)(args, net)
    print(f"Wrote {args.out}")


if __name__ == "__main__":
    tool.run(main)
