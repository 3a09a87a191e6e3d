"""Where a net states its anchors.

A net with A anchors per position names scales and ratios in the param_str of its RPN's Python
layers (those with a feat_stride), has 2 A outputs in the layer of the blob `rpn_cls_score` and 4 A
in that of `rpn_bbox_pred`. Layers of other names are found by what they feed.
"""
from caffe.core.errors import InputError
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter
from faster_rcnn.anchors.options import USUAL_RATIOS, USUAL_SCALES, AnchorOptions
from faster_rcnn.files import safe_yaml
from faster_rcnn.prototxts.columns import Head, heads_of

USUAL = {"scales": USUAL_SCALES, "ratios": USUAL_RATIOS}


def anchor_layers(net: NetParameter) -> list[LayerParameter]:
    """The Python layers that state anchors."""
    return [layer for layer in net.layer
            if layer.type == "Python" and "feat_stride" in layer.python_param.param_str]


def anchor_params(net: NetParameter, name: str) -> list[dict]:
    """What the net's layers with anchors have in their param_str."""
    return [params_of(layer, name) for layer in anchor_layers(net)]


def params_of(layer: LayerParameter, name: str) -> dict:
    """The param_str of a layer; name: what errors call the net. ValueError for no mapping."""
    params = safe_yaml.load(layer.python_param.param_str, f'{name}: layer "{layer.name}"')
    if not isinstance(params, dict):
        raise InputError(f'{name}: the param_str of layer "{layer.name}" is no mapping')
    return params


def num_anchors(net: NetParameter, options: AnchorOptions, name: str) -> int:
    """A: of the options, and where they are silent of the net's Python layers.

    Raises ValueError where both are silent.
    """
    layers = anchor_layers(net)
    stated = params_of(layers[0], name) if layers else {}
    counts = []
    for key, values in (("scales", options.scales), ("ratios", options.ratios)):
        if not values and not layers:
            raise InputError(f"{name} does not state its anchors, so ANCHOR_SCALES and "
                             "ANCHOR_RATIOS must both be set")
        counts.append(len(values or stated.get(key, USUAL[key])))
    return counts[0] * counts[1]


def anchor_heads(net: NetParameter) -> tuple[list[Head], list[Head]]:
    """The heads of the two scores, and of the four deltas, of each anchor."""
    scores, deltas = heads_of(net, "rpn_cls_score"), heads_of(net, "rpn_bbox_pred")
    for layer in anchor_layers(net):
        if len(layer.top) >= 4:
            scores += _with_levels(heads_of(net, layer.bottom[0]), net, layer)
            deltas += [head for loss in net.layer
                       if loss.type == "SmoothL1Loss" and layer.top[1] in loss.bottom
                       for head in heads_of(net, loss.bottom[0])]
        else:
            read = _proposal_heads(net, layer)
            scores += read[0]
            deltas += read[1]
    return scores, deltas


def _proposal_heads(net, layer):
    """What a ProposalLayer reads: scores, then deltas; with several levels in any order."""
    blobs = [heads_of(net, blob) for blob in layer.bottom]
    if sum(map(bool, blobs)) <= 2:
        return blobs[0], blobs[1]
    scores = [head for heads in blobs for head in heads if head.has_probabilities]
    doubled = {2 * head.outputs for head in scores if head.outputs}
    return scores, [head for heads in blobs for head in heads
                    if head not in scores and head.outputs in doubled]


def _with_levels(first, net, layer):
    """The heads of a layer's first bottom, and of others with as many outputs (FPN)."""
    others = (head for blob in layer.bottom[1:] for head in heads_of(net, blob))
    return first + [head for head in others
                    if first and head.outputs and head.outputs == first[0].outputs]
