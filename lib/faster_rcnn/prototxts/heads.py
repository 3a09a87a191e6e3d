"""Where a net has the class scores and the box deltas of its rois, whatever its layers are called.

Test nets end with the blobs `cls_prob` and `bbox_pred`, or longer names (`bbox_pred-pedestrian`,
`my_bbox_pred`).
In training nets scores and deltas are what the losses compare with the labels and the targets of
the rois, which the layers below hand out; other people's layers call them by the same names.
"""
from collections.abc import Iterable, Sequence

import numpy as np

import caffe
from caffe.core.errors import InputError
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter

# Python layers that hand out the labels of rois, and then their targets: index of the labels' top
_LABELS_TOP = {"RoIDataLayer": 2, "ProposalTargetLayer": 1, "OHEMDataLayer": 1}
_OF_ANCHORS = "AnchorTargetLayer"
_USUAL_LAYERS = ("bbox_pred", "rfcn_bbox")


def labels_and_targets(layers: Iterable[tuple[str, Sequence[str]]]) -> tuple[set[str], set[str]]:
    """Two sets of blobs: labels of rois, targets of rois. layers: (class or type, tops) of each."""
    pairs = [_pair(kind, tops) for kind, tops in layers]
    return {blob for pair in pairs for blob in pair[:1]}, {blob for pair in pairs
                                                           for blob in pair[1:]}


def hands_out_targets(layer: LayerParameter) -> bool:
    """Whether a layer hands out the regression targets of rois."""
    return len(_pair(*_kind(layer))) == 2


def _pair(kind, tops):
    """The tops of a layer that are labels and targets of rois, where it has both."""
    if kind != _OF_ANCHORS and {"labels", "bbox_targets"} <= set(tops):
        return "labels", "bbox_targets"
    if "gt_boxes" in tops:
        return ()
    return tuple(tops[_LABELS_TOP[kind]:][:2]) if kind in _LABELS_TOP else ()


def score_blobs(net: NetParameter) -> list[str]:
    """The blobs of a NetParameter with class scores or their probabilities, sorted."""
    labels, _ = labels_and_targets(_kinds(net))
    return sorted({_end(net, "cls_prob")} | {layer.bottom[0] for layer in net.layer
                                             if "Loss" in layer.type
                                             and set(layer.bottom[1:]) & labels})


def delta_blobs(net: NetParameter) -> list[str]:
    """The blobs of a NetParameter with box deltas, sorted."""
    _, targets = labels_and_targets(_kinds(net))
    return sorted({_end(net, "bbox_pred")} | {layer.bottom[0] for layer in net.layer
                                              if layer.type.startswith("SmoothL1Loss")
                                              and set(layer.bottom[1:2]) & targets})


def delta_layers(net: caffe.Net) -> list[str]:
    """The layers of a caffe.Net that compute box deltas, with learnable blobs, in net order.

    They are those of the usual names, and only without these those that feed the blob `bbox_pred`
    or a loss against the targets.
    """
    return [name for name in net.params if name in _USUAL_LAYERS] or _feeding_deltas(net)


def the_output(outputs: dict[str, np.ndarray], name: str) -> np.ndarray:
    """What a test net calls `name`, or by a longer name; ValueError unless there is one such.

    outputs: {blob: array} of a forward pass.
    """
    found = [name] if name in outputs else longer_names(name, outputs)
    if len(found) != 1:
        raise InputError(f"the test net must have one output {name}; its outputs are "
                         f"{', '.join(outputs) or 'none'}")
    return outputs[found[0]]


def _kinds(net):
    return (_kind(layer) for layer in net.layer)


def _kind(layer):
    return layer.python_param.layer or layer.type, layer.top


def _end(net, name):
    """The blob `name`, or the output of a longer name, where there is no such blob."""
    read = {blob for layer in net.layer for blob in layer.bottom}
    tops = [blob for layer in net.layer for blob in layer.top]
    longer = longer_names(name, [blob for blob in tops if blob not in read])
    return name if name in tops or len(longer) != 1 else longer[0]


def longer_names(name: str, blobs: Iterable[str]) -> list[str]:
    """The blobs whose names hold `name`, without those of the RPN."""
    return [blob for blob in blobs if name in blob and not blob.startswith("rpn_")]


def _feeding_deltas(net):
    kinds = ((type(layer).__name__, net.top_names[name])
             for name, layer in net.layer_dict.items())
    _, targets = labels_and_targets(kinds)
    blobs = {"bbox_pred"} | {bottoms[0] for name, bottoms in net.bottom_names.items()
                             if net.top_names[name] and set(bottoms[1:2]) & targets}
    found = {_learning_maker(net, blob) for blob in blobs}
    return [name for name in net.params if name in found]


def _learning_maker(net, blob):
    """The nearest layer at or above a blob that has learnable blobs, or None."""
    while blob is not None:
        maker = next((name for name, tops in net.top_names.items()
                      if blob in tops and blob not in net.bottom_names[name]), None)
        if maker is None or maker in net.params:
            return maker
        blob = next(iter(net.bottom_names[maker]), None)
    return None
