"""BatchNorm, Scale and Bias layers folded into the convolutions before them, for testing.

    merged, weights, folded = merge_batch_norm(read_net("test.prototxt"), read_weights("net"))

A layer is folded when it alone reads the convolution's top, and multiplies and shifts each channel
by constants: top = factor * bottom + shift. Then the convolution's weights are multiplied by the
factor, and its bias becomes factor * bias + shift.
"""
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from caffe.core.errors import WeightsError
from caffe.nets.rules import uses_of_tops
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter

Weights = OrderedDict[str, list[np.ndarray]]
_HOSTS = ("Convolution", "Deconvolution", "InnerProduct")


def merge_batch_norm(net: NetParameter, weights: Weights
                     ) -> tuple[NetParameter, Weights, list[str]]:
    """Folds every layer that can be folded.

    net: NetParameter of the current form; weights: {layer name: [array]} as read_weights gives
    them. Neither is changed. Returns the new NetParameter, the new OrderedDict of weights, and the
    names of the folded layers. Raises WeightsError when the weights do not belong to the net.
    """
    sources, uses, _ = uses_of_tops(net)
    merged, weights = caffe_pb2.NetParameter(), OrderedDict(weights)
    merged.CopyFrom(net)
    hosts, folded = {}, []
    for i, layer in enumerate(net.layer):
        if _is_host(layer, weights):
            hosts[i, 0] = merged.layer[i]
            continue
        source = sources.get((i, 0))
        host = hosts.get(source) if source is not None and uses[source] == 1 else None
        if host is None or not _is_foldable(layer, weights):
            continue
        _fold(host, weights, *_factor_and_shift(layer, weights[layer.name]))
        host.top[0] = layer.top[0]
        hosts[i, 0] = host
        folded.append(layer.name)
        del weights[layer.name]
    kept = [layer for layer in merged.layer if layer.name not in set(folded)]
    del merged.layer[:]
    merged.layer.extend(kept)
    return merged, weights, folded


def _is_host(layer: LayerParameter, weights: Weights) -> bool:
    if layer.type not in _HOSTS or len(layer.top) != 1 or not _owns_blobs(layer, weights):
        return False
    if layer.type == "InnerProduct":
        return layer.inner_product_param.axis == 1 and not layer.inner_product_param.transpose
    return layer.convolution_param.axis == 1


def _is_foldable(layer: LayerParameter, weights: Weights) -> bool:
    if len(layer.bottom) != 1 or len(layer.top) != 1:
        return False
    if layer.type == "BatchNorm":
        p = layer.batch_norm_param
        fixed = p.use_global_stats or not p.HasField("use_global_stats")
        return fixed and _owns_blobs(layer, weights)
    if layer.type not in ("Scale", "Bias"):
        return False
    p = layer.scale_param if layer.type == "Scale" else layer.bias_param
    return p.axis == 1 and p.num_axes == 1 and _owns_blobs(layer, weights)


def _owns_blobs(layer: LayerParameter, weights: Weights) -> bool:
    """Whether the layer is in all phases and shares no blob; WeightsError when it has none."""
    if layer.name not in weights:
        raise WeightsError(f'the weights have no layer "{layer.name}" ({layer.type}); they are '
                           "another net's")
    shared = any(spec.name for spec in layer.param) or any(a is None for a in weights[layer.name])
    return not (shared or layer.include or layer.exclude)


def _factor_and_shift(layer: LayerParameter,
                      blobs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(C,) float64 each, or 1 and 0, of top = factor * bottom + shift."""
    blobs = [np.asarray(blob, np.float64).ravel() for blob in blobs]
    p = layer.batch_norm_param
    learns = p.scale_bias or p.HasField("scale_filler") or p.HasField("bias_filler")
    expected = {"BatchNorm": 5 if learns else 3, "Bias": 1}.get(layer.type,
                                                                1 + layer.scale_param.bias_term)
    if len(blobs) != expected:
        raise WeightsError(f'layer "{layer.name}" ({layer.type}) has {len(blobs)} blobs in the '
                           f"weights and {expected} in the net")
    if layer.type == "BatchNorm":
        mean, variance, weight, *learned = blobs
        mean, variance = (stat / weight if weight else 0 * stat for stat in (mean, variance))
        factor = (learned[0] if learned else 1) / np.sqrt(variance + p.eps)
        return factor, (learned[1] if learned else 0) - mean * factor
    if layer.type == "Bias":
        return np.ones(1), blobs[0]
    return blobs[0], blobs[1] if len(blobs) > 1 else np.zeros(1)


def _fold(host: LayerParameter, weights: Weights, factor: np.ndarray, shift: np.ndarray) -> None:
    """Changes a layer and its blobs so that its new top is factor * top + shift."""
    blobs = [np.asarray(blob, np.float64) for blob in weights[host.name]]
    p = host.inner_product_param if host.type == "InnerProduct" else host.convolution_param
    outputs = p.num_output
    if max(factor.size, shift.size) not in (1, outputs):
        raise WeightsError(f'layer "{host.name}" has {outputs} outputs, but the layer behind it '
                           f"has {max(factor.size, shift.size)} numbers in the weights")
    bias = blobs[1].ravel() if p.bias_term else np.zeros(outputs)
    if not p.bias_term:
        p.bias_term = True
        if len(host.param) == 1:
            host.param.add().CopyFrom(host.param[0])
    factor = np.broadcast_to(factor, outputs)
    weights[host.name] = [_scaled(host, blobs[0], factor).astype(np.float32),
                          (bias * factor + shift).astype(np.float32)]


def _scaled(host: LayerParameter, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The weight with every output multiplied by its factor."""
    if host.type != "Deconvolution":
        return weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
    # (C, O / group, *kernel): the outputs of a group depend on that group's channels only
    group, axes = host.convolution_param.group, weight.ndim - 2
    grouped = weight.reshape(group, -1, *weight.shape[1:])
    return (grouped * factor.reshape(group, 1, -1, *(1,) * axes)).reshape(weight.shape)
