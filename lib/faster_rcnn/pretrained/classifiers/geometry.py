"""Where published Caffe prototxts have another geometry than the nets of torchvision.

* ResNet (torchvision's "v1.5"): a block that halves the size does so in its 3x3 convolution
  (branch2b), Caffe's in its first 1x1 (branch2a). Pool1 has a pad of 1 and rounds down.
* SqueezeNet: the last convolution, 1x1, has no pad.
"""
import re
from typing import Any

from caffe.proto import caffe_pb2

_FIRST_1X1 = re.compile(r"res\w+_branch2a$")
_MESSAGES: Any = caffe_pb2      # made by protobuf
_FLOOR = _MESSAGES.PoolingParameter.FLOOR


def adapt_geometry(net: Any, family: str) -> list[str]:
    """Changes a NetParameter to the geometry of a family's weights; returns a sentence per change.
    """
    return {"resnet": _resnet, "squeezenet": _squeezenet}.get(family, lambda net: [])(net)


def _resnet(net: Any) -> list[str]:
    layers: dict[str, Any] = {layer.name: layer for layer in net.layer}
    changes = []
    for name in filter(_FIRST_1X1.match, list(layers)):
        first, second = layers[name], layers.get(name[:-1] + "b")
        stride = list(first.convolution_param.stride)
        if second is not None and stride and max(stride) > 1:
            del first.convolution_param.stride[:]
            second.convolution_param.stride[:] = stride
            changes.append(f"the stride {stride[0]} of {name} moves to {second.name}")
    pool = layers.get("pool1")
    if pool is not None and (pool.pooling_param.pad, pool.pooling_param.round_mode) != (1, _FLOOR):
        pool.pooling_param.pad, pool.pooling_param.round_mode = 1, _FLOOR
        changes.append("pool1 gets pad 1 and rounds down")
    return changes


def _squeezenet(net: Any) -> list[str]:
    changes = []
    for layer in net.layer:
        if layer.name == "conv_final" and any(layer.convolution_param.pad):
            del layer.convolution_param.pad[:]
            changes.append(f"{layer.name} loses its pad")
    return changes
