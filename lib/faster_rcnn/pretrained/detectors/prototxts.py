"""The test net that an imported detector wants: one of ours, with the geometry of its program."""
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.networks.backbones.description import PASCAL_VOC
from faster_rcnn.networks.backbones.table import BACKBONES
from faster_rcnn.networks.methods import detector, joint
from faster_rcnn.pretrained.reading.imported import Layer

_MESSAGES: Any = caffe_pb2      # made by protobuf
_MAX, _AVE = _MESSAGES.PoolingParameter.MAX, _MESSAGES.PoolingParameter.AVE
_FLOOR = _MESSAGES.PoolingParameter.FLOOR
_FIRST = re.compile(r"res(\d)a_branch(1|2a|2b)$")


@dataclass(frozen=True)
class Geometry:
    """What the nets of a program do otherwise than ours.

    backbone: ours; pooled: bins of a roi; aligned: ROIAlign of half pixels, None: ROIPooling
    head_stride: of the fifth stage of a ResNet; strides_in_3x3: of the other stages, in branch2b
    pool1_pad: of a ResNet's pooling, which rounds down then; floors: poolings round down
    """

    backbone: str
    anchors: AnchorOptions
    pooled: int = 7
    aligned: bool | None = None
    head_stride: int = 1
    strides_in_3x3: bool = False
    pool1_pad: int = 0
    floors: bool = False


def test_net(geometry: Geometry, layers: Sequence[Layer]) -> NetParameter:
    """The NetParameter; widths and classes are those of the arrays."""
    backbone = replace(joint.published(BACKBONES[geometry.backbone]), aligned=False)
    made = detector.detection_net(backbone.on(PASCAL_VOC, geometry.anchors))
    message = made.message if isinstance(made, tuple) else made
    widths = {name: len(arrays[0]) for name, kind, arrays in layers
              if kind in ("Convolution", "InnerProduct")}
    for layer in message.layer:
        _pool(layer, geometry)
        _stride(layer, geometry)
        _look_at_rois(layer, geometry)
        if layer.type == "Convolution":
            layer.convolution_param.num_output = widths[layer.name]
            arrays = next(arrays for name, _, arrays in layers if name == layer.name)
            layer.convolution_param.bias_term = len(arrays) > 1
        elif layer.type == "InnerProduct":
            layer.inner_product_param.num_output = widths[layer.name]
    return message


def _pool(layer: Any, geometry: Geometry) -> None:
    p = layer.pooling_param
    if layer.type == "Pooling" and p.pool == _AVE:
        p.Clear()
        p.pool, p.global_pooling = _AVE, True
    elif layer.type == "Pooling":
        if geometry.pool1_pad:
            p.pad = geometry.pool1_pad
        if geometry.floors or geometry.pool1_pad:
            p.round_mode = _FLOOR


def _stride(layer: Any, geometry: Geometry) -> None:
    """The stride of the first unit of a stage lies in the shortcut, and in a 1x1 or the 3x3."""
    found = _FIRST.match(layer.name)
    if layer.type != "Convolution" or found is None:
        return
    stride = {"2": 1, "5": geometry.head_stride}.get(found[1], 2)
    inner = "2b" if geometry.strides_in_3x3 else "2a"
    layer.convolution_param.stride[:] = [stride if found[2] in ("1", inner) else 1]


def _look_at_rois(layer: Any, geometry: Geometry) -> None:
    if layer.type != "ROIPooling":
        return
    p = layer.roi_pooling_param
    p.pooled_h = p.pooled_w = geometry.pooled
    if geometry.aligned is None:
        return
    layer.type = "ROIAlign"
    align = layer.roi_align_param
    align.pooled_h = align.pooled_w = geometry.pooled
    align.spatial_scale, align.aligned, align.sampling_ratio = \
        p.spatial_scale, geometry.aligned, 0
    layer.ClearField("roi_pooling_param")
