"""BatchNorm, Scale and Bias layers folded into the convolutions before them, for testing.

    merged, weights, folded = merge_batch_norm(read_net("test.prototxt"), read_weights("net"))

A layer is folded when it alone reads the convolution's top, and multiplies and shifts each channel
by constants: top = factor * bottom + shift. Then the convolution's weights are multiplied by the
factor, and its bias becomes factor * bias + shift.
"""
from collections import OrderedDict

import numpy as np

from caffe.core.errors import WeightsError
from caffe.nets.plan.folding import factor_and_shift, is_affine, scaled
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
        _fold(host, weights, *factor_and_shift(layer, weights[layer.name]))
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
    return is_affine(layer) and _owns_blobs(layer, weights)


def _owns_blobs(layer: LayerParameter, weights: Weights) -> bool:
    """Whether the layer is in all phases and shares no blob; WeightsError when it has none."""
    if layer.name not in weights:
        raise WeightsError(f'the weights have no layer "{layer.name}" ({layer.type}); they are '
                           "another net's")
    shared = any(spec.name for spec in layer.param) or any(a is None for a in weights[layer.name])
    return not (shared or layer.include or layer.exclude)


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
    weights[host.name] = [scaled(host, blobs[0], factor).astype(np.float32),
                          (bias * factor + shift).astype(np.float32)]
