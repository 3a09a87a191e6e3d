"""V0 nets (2013: `layers { layer { type: "conv" ... } bottom: ... }`) turned into V1 layers."""
import logging
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from caffe.core.errors import PrototxtError, suggest
from caffe.proto import caffe_pb2 as pb
from caffe.proto.caffe_pb2 import NetParameter, V1LayerParameter

log = logging.getLogger("caffe")

_V0_TYPES = {
    "accuracy": "ACCURACY", "bnll": "BNLL", "concat": "CONCAT", "conv": "CONVOLUTION",
    "data": "DATA", "dropout": "DROPOUT", "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN", "hdf5_data": "HDF5_DATA", "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL", "images": "IMAGE_DATA", "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT", "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS", "pool": "POOLING", "relu": "RELU",
    "sigmoid": "SIGMOID", "softmax": "SOFTMAX", "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT", "tanh": "TANH", "window_data": "WINDOW_DATA",
}
_BLOCKS = {
    "concat": "concat_param", "conv": "convolution_param", "data": "data_param",
    "dropout": "dropout_param", "hdf5_data": "hdf5_data_param", "images": "image_data_param",
    "infogain_loss": "infogain_loss_param", "innerproduct": "inner_product_param",
    "lrn": "lrn_param", "pool": "pooling_param", "window_data": "window_data_param",
}
# V0 field -> (its name in the V1 block, the V0 types that have it).
_FIELDS = {
    "num_output": ("num_output", ("conv", "innerproduct")),
    "biasterm": ("bias_term", ("conv", "innerproduct")),
    "weight_filler": ("weight_filler", ("conv", "innerproduct")),
    "bias_filler": ("bias_filler", ("conv", "innerproduct")),
    "pad": ("pad", ("conv", "pool")),
    "kernelsize": ("kernel_size", ("conv", "pool")),
    "stride": ("stride", ("conv", "pool")),
    "group": ("group", ("conv",)),
    "pool": ("pool", ("pool",)),
    "dropout_ratio": ("dropout_ratio", ("dropout",)),
    "local_size": ("local_size", ("lrn",)),
    "alpha": ("alpha", ("lrn",)),
    "beta": ("beta", ("lrn",)),
    "k": ("k", ("lrn",)),
    "source": ("source", ("data", "hdf5_data", "images", "window_data", "infogain_loss")),
    "batchsize": ("batch_size", ("data", "hdf5_data", "images", "window_data")),
    "rand_skip": ("rand_skip", ("data", "images")),
    "shuffle_images": ("shuffle", ("images",)),
    "new_height": ("new_height", ("images",)),
    "new_width": ("new_width", ("images",)),
    "concat_dim": ("concat_dim", ("concat",)),
    "det_fg_threshold": ("fg_threshold", ("window_data",)),
    "det_bg_threshold": ("bg_threshold", ("window_data",)),
    "det_fg_fraction": ("fg_fraction", ("window_data",)),
    "det_context_pad": ("context_pad", ("window_data",)),
    "det_crop_mode": ("crop_mode", ("window_data",)),
}
_TRANSFORMATION = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size",
                   "mirror": "mirror"}


def upgrade_v0_layers(net: NetParameter, origin: str) -> None:
    """Replaces the V0 layers of a NetParameter by V1 layers, in place."""
    upgraded = [_upgrade_layer(layer, origin) if layer.HasField("layer") else layer
                for layer in _without_padding_layers(net.layers, origin)]
    net.ClearField("layers")
    net.layers.extend(upgraded)


def _without_padding_layers(layers: Iterable[V1LayerParameter],
                            origin: str) -> list[V1LayerParameter]:
    """Copies of the layers; a "padding" layer becomes the `pad` of the layer that reads it."""
    producer: dict[str, V1LayerParameter | None] = {}
    kept = []
    for source in layers:
        layer = pb.V1LayerParameter.FromString(source.SerializeToString())
        for i, bottom in enumerate(layer.bottom):
            padding = producer.get(bottom)
            if padding is not None:
                _check_padding(padding, layer, origin)
                layer.layer.pad = padding.layer.pad
                layer.bottom[i] = padding.bottom[0]
        is_padding = layer.layer.type == "padding"
        producer.update((top, layer if is_padding else None) for top in layer.top)
        if not is_padding:
            kept.append(layer)
    return kept


def _check_padding(padding: V1LayerParameter, layer: V1LayerParameter, origin: str) -> None:
    if layer.layer.type not in ("conv", "pool") or len(layer.bottom) != 1:
        raise PrototxtError(f'{origin}: padding layer "{padding.layer.name}" must feed a "conv" or '
                            f'"pool" layer with one bottom, not "{layer.layer.name}"')
    if len(padding.bottom) != 1 or len(padding.top) != 1:
        raise PrototxtError(f'{origin}: padding layer "{padding.layer.name}" must have one bottom '
                            "and one top")


def _upgrade_layer(connection: V1LayerParameter, origin: str) -> V1LayerParameter:
    """One V0 layer as a V1LayerParameter."""
    old = connection.layer
    if old.type not in _V0_TYPES:
        raise PrototxtError(f'{origin}: layer "{old.name}": unknown layer type "{old.type}"'
                            f"{suggest(old.type, _V0_TYPES)}; known types: "
                            f"padding, {', '.join(_V0_TYPES)}")
    new = pb.V1LayerParameter(bottom=connection.bottom, top=connection.top, name=old.name,
                              type=_V0_TYPES[old.type], blobs=old.blobs, blobs_lr=old.blobs_lr,
                              weight_decay=old.weight_decay)
    for field, value in old.ListFields():
        name = field.name
        if name in _TRANSFORMATION:
            setattr(new.transform_param, _TRANSFORMATION[name], value)
        elif name in _FIELDS and old.type in _FIELDS[name][1]:
            _assign(getattr(new, _BLOCKS[old.type]), _FIELDS[name][0], value)
        elif name == "hdf5_output_param" and old.type == "hdf5_output":
            new.hdf5_output_param.CopyFrom(value)
        elif name not in ("name", "type", "blobs", "blobs_lr", "weight_decay"):
            log.warning('%s: layer "%s": "%s" has no meaning for type "%s", ignored',
                        origin, old.name, name, old.type)
    return new


def _assign(block: Message, field: str, value: Any) -> None:
    """Sets a field that may be a number, a message, or repeated (pad, kernel_size, stride)."""
    target = getattr(block, field)
    if hasattr(target, "append"):
        target.append(value)
    elif hasattr(target, "CopyFrom"):
        target.CopyFrom(value)
    else:
        setattr(block, field, value)
