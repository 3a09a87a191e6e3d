"""Nets in other programs' forms: ONNX graphs, and plain dictionaries of PyTorch tensors.

    part = select(net, start=["rois", "conv5_3"], end=["cls_prob"])     # all of it by default
    model = to_onnx(net, part)                                          # onnx.ModelProto
    write_onnx(model, "head.onnx")
    tensors = state_dict(net)                                           # name -> tensor

`to_onnx`, `write_onnx` and `largest_difference` need the package onnx.

Belongs here: what is made of the nodes of `layers`.
May import: core, files, runners, nets, export.layers.
"""
from typing import TYPE_CHECKING

from caffe.core.packages import require
from caffe.core.types import FilePath
from caffe.export.part import Part, select
from caffe.export.tensors import state_dict

__all__ = ["Part", "largest_difference", "select", "state_dict", "to_onnx", "write_onnx"]

if TYPE_CHECKING:
    import onnx

    from caffe.export.layers.graph import Form
    from caffe.nets.net import Net


def to_onnx(net: "Net", part: Part | None = None, form: "Form | None" = None) -> "onnx.ModelProto":
    """As `model.to_onnx`."""
    require("onnx")
    from caffe.export.model import to_onnx as build
    return build(net, part or select(net), form)


def write_onnx(model: "onnx.ModelProto", path: FilePath) -> list[str]:
    """As `write.write_onnx`."""
    require("onnx")
    from caffe.export.write import write_onnx as write
    return write(model, path)


def largest_difference(net: "Net", part: Part, model: "onnx.ModelProto") -> float:
    """As `comparing.largest_difference`."""
    require("onnx", "onnxruntime")
    from caffe.export.comparing import largest_difference as compare
    return compare(net, part, model)
