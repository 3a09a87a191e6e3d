"""From a blob down to the layers whose outputs are its columns.

Class scores (R, K), box deltas (R, 4 K), scores and deltas of anchors (N, 2 A, H, W) come out of a
layer with parameters, an InnerProduct or a Convolution. In between may lie layers that keep the
columns: Reshape, Softmax, Pooling; PSROIPooling, below which a Convolution has an output per column
and bin (R-FCN); Eltwise, and Concat of the rois or positions of several levels (FPN).
"""
import math
from dataclasses import dataclass

from caffe.proto.caffe_pb2 import LayerParameter, NetParameter

KEEPING = ("Softmax", "Sigmoid", "Reshape", "Flatten", "Pooling", "PSROIPooling", "Scale", "Power",
           "Dropout", "Eltwise", "Concat")
OF_ALL_BOTTOMS = ("Eltwise", "Concat")


@dataclass(frozen=True)
class Head:
    """The layer that a blob's columns come from, and the layers between it and the blob.

    source   the layer with parameters, or one that this module does not know
    above    layers that keep the columns, from the blob downwards
    """

    source: LayerParameter
    above: tuple[LayerParameter, ...] = ()

    @property
    def bins(self) -> int:
        """Bins of a roi that are pooled from maps of their own; 1 without PSROIPooling."""
        return math.prod(layer.psroi_pooling_param.group_size ** 2 for layer in self.above
                         if layer.type == "PSROIPooling")

    @property
    def outputs(self) -> int | None:
        """Outputs of the source; None when it has no such number."""
        return outputs_of(self.source)

    @property
    def has_probabilities(self) -> bool:
        """Whether the blob holds probabilities."""
        return any(layer.type in ("Softmax", "Sigmoid") for layer in self.above)


def heads_of(net: NetParameter, blob: str, above: tuple[LayerParameter, ...] = ()) -> list[Head]:
    """The heads of a blob: one, or several where levels are joined; none of an input."""
    heads = []
    for maker in makers_of(net, blob):
        below = [] if maker in above or not keeps_columns(maker) else [
            head for bottom in _bottoms(maker) for head in heads_of(net, bottom, (*above, maker))]
        heads += below or [Head(maker, above)]
    return heads


def makers_of(net: NetParameter, blob: str) -> list[LayerParameter]:
    """The layers that make `blob` from other blobs: not in place, and not inputs."""
    return [layer for layer in net.layer
            if blob in layer.top and layer.bottom and blob not in layer.bottom]


def keeps_columns(layer: LayerParameter) -> bool:
    """Whether the columns of a layer's top are those of each of its bottoms that count."""
    return layer.type in KEEPING and not joins_columns(layer)


def joins_columns(layer: LayerParameter) -> bool:
    """Whether a layer puts columns of several blobs side by side."""
    param = layer.concat_param
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    return layer.type == "Concat" and axis in (1, -1)


def outputs_of(layer: LayerParameter) -> int | None:
    """num_output of a layer with parameters; None for other types."""
    param = _param(layer)
    return None if param is None else param.num_output


def set_outputs(layer: LayerParameter, outputs: int) -> None:
    """Writes num_output of an InnerProduct or a Convolution."""
    _param(layer).num_output = outputs


def _param(layer):
    return {"InnerProduct": layer.inner_product_param,
            "Convolution": layer.convolution_param}.get(layer.type)


def _bottoms(layer):
    return layer.bottom if layer.type in OF_ALL_BOTTOMS else layer.bottom[:1]
