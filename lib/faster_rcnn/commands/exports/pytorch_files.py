"""PyTorch: readable source, programs of torch.export, and weights by themselves."""
import argparse
import os
from collections.abc import Sequence

import safetensors.torch
import torch

import caffe
from caffe import export
from caffe.export.source.program import write_program
from faster_rcnn.commands.exports.choices import check_kind, export_options
from faster_rcnn.export.pytorch.source import (
    makes_its_rois,
    write_detector_source,
    write_net_source,
)
from faster_rcnn.files.atomic import atomic_open


def write_pytorch(args: argparse.Namespace, net: caffe.Net, classes: Sequence[str] | None,
                  is_part: bool) -> None:
    """Writes PyTorch source, of a whole detector where the net is one, or a .pt2."""
    check_kind(args, "PyTorch source and programs")
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
    check_kind(args, "weights as tensors")
    tensors = export.state_dict(net)
    with atomic_open(args.out, "wb") as file:
        if args.out.endswith(".safetensors"):
            file.write(safetensors.torch.save(tensors))
        else:
            torch.save(tensors, file)
    print(f"{len(tensors)} tensors")
