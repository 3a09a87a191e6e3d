"""The parts of a detector that every schedule is put together from.

`net` is a NetSpec and `backbone` a Backbone; functions add layers with the published names and
return the tops that others continue from.
"""
from collections.abc import Callable, Sequence
from typing import Any

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.networks.backbones.description import Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    Fields,
    Rates,
    conv,
    dropout,
    fc,
    gaussian,
    no_rates,
    param_str,
    python,
    relu,
    reshape,
)

# File name -> function that makes the net or the solver's text
Files = dict[str, Callable[[], str | CommentedNet]]

TARGETS = ["bbox_targets", "bbox_inside_weights", "bbox_outside_weights"]
RPN_TARGETS = ["rpn_" + name for name in TARGETS]
# Standard deviations of fresh weights: RPN and class scores, box deltas
FRESH, FRESH_BOXES = gaussian(0.01), gaussian(0.001)


def data_layer(net: NetSpec, backbone: Backbone, name: str, tops: Sequence[str]) -> None:
    """The layer that feeds minibatches of the training set."""
    python(net, name, "roi_data_layer.layer", "RoIDataLayer",
           param_str(num_classes=backbone.data_set.classes), [], tops)


def input_net() -> NetSpec:
    """A NetSpec for an image and its im_info."""
    net = NetSpec()
    net["data"] = L.Input(name="data", shape={"dim": [1, 3, 224, 224]})
    net["im_info"] = L.Input(name="im_info", shape={"dim": [1, 3]})
    return net


def anchors_param(backbone: Backbone, **more: Any) -> str:
    """param_str of the layers that know the anchors."""
    return param_str(feat_stride=backbone.stride, **backbone.anchors.stated(), **more)


def rpn(net: NetSpec, backbone: Backbone, features: str, rates: Rates,
        filler: Fields | None = None) -> tuple[str, str]:
    """The RPN's convolutions on the features; returns the tops of scores and box deltas."""
    name, relu_name, top = backbone.rpn_names
    anchors = backbone.anchors.per_position
    conv(net, name, features, backbone.rpn_width, 3, rates, pad=1, filler=filler, top=top)
    top = relu(net, relu_name, top)
    return (conv(net, "rpn_cls_score", top, 2 * anchors, 1, rates, filler=filler),
            conv(net, "rpn_bbox_pred", top, 4 * anchors, 1, rates, filler=filler))


def rpn_losses(net: NetSpec, backbone: Backbone, scores: str, sigma: float = 3) -> None:
    """Anchor targets, and the RPN's two losses against them; sigma: of the boxes' SmoothL1Loss."""
    reshaped = reshape(net, "rpn_cls_score_reshape", scores, [0, 2, -1, 0])
    python(net, "rpn-data", "rpn.anchor_target_layer", "AnchorTargetLayer",
           anchors_param(backbone), [scores, "gt_boxes", "im_info", "data"],
           ["rpn_labels"] + RPN_TARGETS)
    net["rpn_cls_loss"] = L.SoftmaxWithLoss(
        net[reshaped], net["rpn_labels"], name="rpn_loss_cls", propagate_down=[True, False],
        loss_weight=1, loss_param={"ignore_label": -1, "normalize": True})
    net["rpn_loss_bbox"] = L.SmoothL1Loss(
        net["rpn_bbox_pred"], *[net[name] for name in RPN_TARGETS], name="rpn_loss_bbox",
        loss_weight=1, smooth_l1_loss_param={"sigma": sigma})


def proposals(net: NetSpec, backbone: Backbone, tops: Sequence[str], **more_params: Any) -> None:
    """Probabilities per anchor from rpn_cls_score_reshape, then the proposal layer."""
    net["rpn_cls_prob"] = L.Softmax(net["rpn_cls_score_reshape"], name="rpn_cls_prob")
    reshape(net, "rpn_cls_prob_reshape", "rpn_cls_prob",
            [0, 2 * backbone.anchors.per_position, -1, 0])
    python(net, "proposal", "rpn.proposal_layer", "ProposalLayer",
           anchors_param(backbone, **more_params),
           ["rpn_cls_prob_reshape", "rpn_bbox_pred", "im_info"], tops)


def test_proposals(net: NetSpec, backbone: Backbone, features: str, tops: Sequence[str]) -> None:
    """The RPN of a test net, up to its proposals."""
    scores, _ = rpn(net, backbone, features, no_rates)
    reshape(net, "rpn_cls_score_reshape", scores, [0, 2, -1, 0])
    proposals(net, backbone, tops)


def pool_rois(net: NetSpec, backbone: Backbone, features: str) -> str:
    """The features of each roi, by the backbone's RoI operator; returns their top."""
    return (_roi_align if backbone.aligned else _roi_pooling)(net, backbone, features)


def _roi_pooling(net, backbone, features):
    name, top = backbone.pool_names
    net[top] = L.ROIPooling(net[features], net["rois"], name=name, roi_pooling_param={
        "pooled_w": backbone.pooled, "pooled_h": backbone.pooled,
        "spatial_scale": 1 / backbone.stride})
    return top


def _roi_align(net, backbone, features):
    """Without rounding, and differentiable in the rois as well."""
    name, top = backbone.pool_names
    net[top] = L.ROIAlign(net[features], net["rois"], name=name, roi_align_param={
        "pooled_w": backbone.pooled, "pooled_h": backbone.pooled,
        "spatial_scale": 1 / backbone.stride, "sampling_ratio": 2, "aligned": True})
    return top


def head(net: NetSpec, backbone: Backbone, pooled: str, rates: Rates, with_dropout: bool,
         fillers: Sequence[Fields | None] = (None, None, None)) -> tuple[str, str]:
    """fc6 and fc7, or the backbone's own head, and the outputs; returns the tops of class scores
    and box deltas."""
    fc_filler, score_filler, box_filler = fillers
    if backbone.head:
        top = conv_head(net, backbone, pooled, rates)
    else:
        top = _fc_head(net, backbone, pooled, rates, with_dropout, fc_filler)
    return outputs(net, backbone, top, rates, score_filler, box_filler)


def outputs(net: NetSpec, backbone: Backbone, top: str, rates: Rates,
            score_filler: Fields | None = None,
            box_filler: Fields | None = None) -> tuple[str, str]:
    """Class scores and box deltas of the head's top."""
    classes = backbone.data_set.classes
    return (fc(net, "cls_score", top, classes, rates, score_filler),
            fc(net, "bbox_pred", top, 4 * classes, rates, box_filler))


def conv_head(net: NetSpec, backbone: Backbone, pooled: str, rates: Rates) -> str:
    """The backbone's own head, which brings the pooled bins to backbone.bins x backbone.bins."""
    if backbone.head is None:
        raise ValueError(f"{backbone.title} has fc6 and fc7, not a head of convolutions")
    return backbone.head(net, pooled, rates, backbone.pooled // backbone.bins)


def _fc_head(net, backbone, pooled, rates, with_dropout, filler):
    top = pooled
    for number, width in zip((6, 7), backbone.widths):
        top = relu(net, f"relu{number}", fc(net, f"fc{number}", top, width, rates, filler))
        if with_dropout and backbone.dropout:
            top = dropout(net, f"drop{number}", top, backbone.dropout)
    return top


def train_head(net: NetSpec, backbone: Backbone, pooled: str, rates: Rates) -> None:
    """The head of a training net and its two losses."""
    scores, boxes = head(net, backbone, pooled, rates, with_dropout=True,
                         fillers=(backbone.fc_filler, FRESH, FRESH_BOXES))
    cls_top, bbox_top = backbone.loss_tops
    net[cls_top] = L.SoftmaxWithLoss(net[scores], net["labels"], name="loss_cls", loss_weight=1,
                                     **backbone.cls_loss)
    net[bbox_top] = L.SmoothL1Loss(net[boxes], *[net[name] for name in TARGETS],
                                   name="loss_bbox", loss_weight=1)


def test_head(net: NetSpec, backbone: Backbone, pooled: str) -> None:
    """The head of a test net: class probabilities and box deltas."""
    scores, _ = head(net, backbone, pooled, no_rates, with_dropout=backbone.dropout_in_test)
    net["cls_prob"] = L.Softmax(net[scores], name="cls_prob", **backbone.cls_prob)


def detection_net(backbone: Backbone) -> CommentedNet:
    """An image in; proposals, class probabilities and box deltas out."""
    net = input_net()
    features = backbone.features(net, no_rates)
    test_proposals(net, backbone, features, ["rois"])
    test_head(net, backbone, pool_rois(net, backbone, features))
    return finish(net, backbone)


def finish(net: NetSpec, backbone: Backbone,
           comments: dict[str, str] | None = None) -> CommentedNet:
    """The net with its name, its inputs named in the published way, and the usual headings."""
    proto = net.to_proto()
    proto.name = backbone.title
    inputs = [layer for layer in proto.layer if layer.type == "Input"]
    for layer in inputs:
        proto.input.append(layer.name)
        proto.input_shape.add().CopyFrom(layer.input_param.shape[0])
        proto.layer.remove(layer)
    return CommentedNet(proto, {backbone.rpn_names[0]: "RPN", "proposal": "Proposals",
                                backbone.pool_names[0]: "Detector head", **(comments or {})})
