"""Nets in other programs' forms: ONNX graphs, and plain dictionaries of PyTorch tensors.

    part = select(net, start=["rois", "conv5_3"], end=["cls_prob"])     # all of it by default
    model = to_onnx(net, part)                                          # onnx.ModelProto
    tensors = state_dict(net)                                           # name -> tensor

`to_onnx` and `largest_difference` need the package onnx.

Belongs here: the exporters of the layer types, by what they do. May import: core, runners,
layer_types.maps, nets.
"""
from typing import TYPE_CHECKING

from caffe.export.part import Part, select
from caffe.export.tensors import state_dict

__all__ = ["Part", "largest_difference", "select", "state_dict", "to_onnx"]

if TYPE_CHECKING:
    import onnx

    from caffe.nets.net import Net


def to_onnx(net: "Net", part: Part | None = None) -> "onnx.ModelProto":
    """As `model.to_onnx`."""
    from caffe.export.model import to_onnx as build
    return build(net, part or select(net))


def largest_difference(net: "Net", part: Part, model: "onnx.ModelProto") -> float:
    """As `model.largest_difference`."""
    from caffe.export.model import largest_difference as compare
    return compare(net, part, model)
