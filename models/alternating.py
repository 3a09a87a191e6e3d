"""The six nets and four solvers of `faster_rcnn_alt_opt` for any backbone.

A stage trains one half of the detector. The other half rides along with learning rate 0, fed by
DummyData or ended by Silence, so that the snapshot of the last stage is a complete detector:

    stage*_rpn_train         shared layers + RPN           fc6 and fc7 ride along
    stage*_fast_rcnn_train   shared layers + head          the RPN rides along
    rpn_test                 shared layers + RPN           proposals with scores
    faster_rcnn_test         shared layers + RPN + head    detections

Stage 2 freezes the shared layers.
"""
from caffe.net_spec import NetSpec, layers as L

from spec_layers import (conv, dropout, fc, frozen, gaussian, no_rates, python, relu, reshape,
                         silence, trained, trained_except)

METHOD = "faster_rcnn_alt_opt"
CLASSES = 21
RATIOS = 3  # of the anchors: 0.5, 1, 2
TARGETS = ["bbox_targets", "bbox_inside_weights", "bbox_outside_weights"]

SOLVER = """\
train_net: "models/pascal_voc/{folder}/{method}/stage{stage}_{kind}_train.pt"

base_lr: {base_lr}
lr_policy: "step"
gamma: 0.1
stepsize: {stepsize}
{max_iter}display: 20
average_loss: 100
momentum: 0.9
weight_decay: 0.0005

# fast_rcnn.train writes the snapshots, with bbox_pred un-normalised, instead of the solver;
# their names start with the prefix.
snapshot: 0
snapshot_prefix: "{prefix}_{kind}"
"""


def files(backbone):
    """File name -> solver text, or (NetParameter, {layer name: comment above it})."""
    made = {}
    for stage in (1, 2):
        made[f"stage{stage}_rpn_train.pt"] = rpn_train(backbone, stage)
        made[f"stage{stage}_fast_rcnn_train.pt"] = fast_rcnn_train(backbone, stage)
        made[f"stage{stage}_rpn_solver60k80k.pt"] = solver(backbone, stage, "rpn")
        made[f"stage{stage}_fast_rcnn_solver30k40k.pt"] = solver(backbone, stage, "fast_rcnn")
    made["rpn_test.pt"] = rpn_test(backbone)
    made["faster_rcnn_test.pt"] = faster_rcnn_test(backbone)
    return made


def solver(backbone, stage, kind):
    """Text of a solver; `kind` is rpn or fast_rcnn. The rate drops after 3/4 of the iterations.

    The published solvers state no `max_iter`: their schedule's 80000 and 40000 are the tools'
    defaults. A net with another schedule states its own.
    """
    number = 2 * (stage - 1) + ("rpn", "fast_rcnn").index(kind)
    iterations = (backbone.iterations or (80000, 40000, 80000, 40000))[number]
    max_iter = f"max_iter: {iterations}\n" if backbone.iterations else ""
    return SOLVER.format(folder=backbone.folder, method=METHOD, stage=stage, kind=kind,
                         stepsize=iterations * 3 // 4, max_iter=max_iter,
                         base_lr=backbone.base_lr, prefix=backbone.prefix)


def rpn_train(backbone, stage):
    """Shared layers and RPN learn from annotated boxes; fc6 and fc7 ride along."""
    net = NetSpec()
    _data_layer(net, "input-data", ["data", "im_info", "gt_boxes"])
    features = backbone.features(net, _shared_rates(backbone, stage))
    scores, _ = _rpn(net, backbone, features, trained, gaussian(0.01))
    reshaped = reshape(net, "rpn_cls_score_reshape", scores, [0, 2, -1, 0])
    targets = ["rpn_labels"] + ["rpn_" + name for name in TARGETS]
    python(net, "rpn-data", "rpn.anchor_target_layer", "AnchorTargetLayer",
           _anchors_param(backbone), [scores, "gt_boxes", "im_info", "data"], targets)
    net["rpn_cls_loss"] = L.SoftmaxWithLoss(
        net[reshaped], net["rpn_labels"], name="rpn_loss_cls", propagate_down=[True, False],
        loss_weight=1, loss_param={"ignore_label": -1, "normalize": True})
    net["rpn_loss_bbox"] = L.SmoothL1Loss(
        net["rpn_bbox_pred"], *[net[name] for name in targets[1:]], name="rpn_loss_bbox",
        loss_weight=1, smooth_l1_loss_param={"sigma": 3})
    _carried_head(net, backbone)
    return _finish(net, backbone, {
        "rpn-data": "RPN training",
        "dummy_roi_pool_conv5": "Detector head: not trained, its weights ride along"})


def fast_rcnn_train(backbone, stage):
    """Shared layers and head learn on stored proposals; the RPN rides along."""
    net = NetSpec()
    _data_layer(net, "data", ["data", "rois", "labels"] + TARGETS)
    features = backbone.features(net, _shared_rates(backbone, stage))
    scores, boxes = _head(net, backbone, features, trained, with_dropout=True,
                          fillers=(backbone.fc_filler, gaussian(0.01), gaussian(0.001)))
    cls_top, bbox_top = backbone.loss_tops
    net[cls_top] = L.SoftmaxWithLoss(net[scores], net["labels"], name="loss_cls", loss_weight=1,
                                     **backbone.cls_loss)
    net[bbox_top] = L.SmoothL1Loss(net[boxes], *[net[name] for name in TARGETS],
                                   name="loss_bbox", loss_weight=1)
    for top in _rpn(net, backbone, features, frozen, gaussian(0.01)):
        silence(net, top)
    return _finish(net, backbone, {
        backbone.rpn_names[0]: "RPN: not trained, its weights ride along"})


def rpn_test(backbone):
    """An image in, proposals and their scores out."""
    net = _input_net()
    features = backbone.features(net, no_rates)
    _proposals(net, backbone, features, ["rois", "scores"])
    return _finish(net, backbone)


def faster_rcnn_test(backbone):
    """An image in; proposals, class probabilities and box deltas out."""
    net = _input_net()
    features = backbone.features(net, no_rates)
    _proposals(net, backbone, features, ["rois"])
    scores, _ = _head(net, backbone, features, no_rates, with_dropout=backbone.dropout_in_test)
    net["cls_prob"] = L.Softmax(net[scores], name="cls_prob", **backbone.cls_prob)
    return _finish(net, backbone)


def _shared_rates(backbone, stage):
    return trained_except(backbone.frozen) if stage == 1 else frozen


def _data_layer(net, name, tops):
    python(net, name, "roi_data_layer.layer", "RoIDataLayer", f"'num_classes': {CLASSES}", [],
           tops)


def _input_net():
    net = NetSpec()
    net["data"] = L.Input(name="data", shape={"dim": [1, 3, 224, 224]})
    net["im_info"] = L.Input(name="im_info", shape={"dim": [1, 3]})
    return net


def _anchors_param(backbone):
    """param_str of the layers that know the anchors; without scales they take 8, 16, 32."""
    stride = f"'feat_stride': {backbone.stride}"
    if backbone.scales is None:
        return stride
    return f"{{{stride}, 'scales': {list(backbone.scales)}}}"


def _rpn(net, backbone, features, rates, filler=None):
    """The RPN's convolutions on the features; returns the tops of scores and box deltas."""
    name, relu_name, top = backbone.rpn_names
    anchors = RATIOS * len(backbone.scales or (8, 16, 32))
    conv(net, name, features, backbone.rpn_width, 3, rates, pad=1, filler=filler, top=top)
    top = relu(net, relu_name, top)
    return (conv(net, "rpn_cls_score", top, 2 * anchors, 1, rates, filler=filler),
            conv(net, "rpn_bbox_pred", top, 4 * anchors, 1, rates, filler=filler))


def _proposals(net, backbone, features, tops):
    """RPN in a test net: probabilities per anchor, then the proposal layer."""
    scores, boxes = _rpn(net, backbone, features, no_rates)
    anchors = RATIOS * len(backbone.scales or (8, 16, 32))
    reshape(net, "rpn_cls_score_reshape", scores, [0, 2, -1, 0])
    net["rpn_cls_prob"] = L.Softmax(net["rpn_cls_score_reshape"], name="rpn_cls_prob")
    reshape(net, "rpn_cls_prob_reshape", "rpn_cls_prob", [0, 2 * anchors, -1, 0])
    python(net, "proposal", "rpn.proposal_layer", "ProposalLayer", _anchors_param(backbone),
           ["rpn_cls_prob_reshape", boxes, "im_info"], tops)


def _head(net, backbone, features, rates, with_dropout, fillers=(None, None, None)):
    """RoI pooling, fc6, fc7 and the outputs; returns the tops of class scores and box deltas."""
    name, top = backbone.pool_names
    net[top] = L.ROIPooling(net[features], net["rois"], name=name, roi_pooling_param={
        "pooled_w": backbone.pooled, "pooled_h": backbone.pooled,
        "spatial_scale": 1 / backbone.stride})
    fc_filler, score_filler, box_filler = fillers
    for number, width in zip((6, 7), backbone.widths):
        top = relu(net, f"relu{number}", fc(net, f"fc{number}", top, width, rates, fc_filler))
        if with_dropout and backbone.dropout:
            top = dropout(net, f"drop{number}", top, backbone.dropout)
    return (fc(net, "cls_score", top, CLASSES, rates, score_filler),
            fc(net, "bbox_pred", top, 4 * CLASSES, rates, box_filler))


def _carried_head(net, backbone):
    """fc6 and fc7 behind dummy data, as far as the published net carries their ReLU and Dropout."""
    size = backbone.channels * backbone.pooled ** 2
    net["dummy_roi_pool_conv5"] = L.DummyData(name="dummy_roi_pool_conv5", dummy_data_param={
        "shape": {"dim": [1, size]}, "data_filler": backbone.dummy_filler})
    top = fc(net, "fc6", "dummy_roi_pool_conv5", backbone.widths[0], frozen, backbone.fc_filler)
    if "relu6" in backbone.carried:
        top = relu(net, "relu6", top)
    if "drop6" in backbone.carried:
        top = dropout(net, "drop6", top, backbone.dropout)
    silence(net, fc(net, "fc7", top, backbone.widths[1], frozen, backbone.fc_filler))


def _finish(net, backbone, comments=None):
    """(NetParameter with the net's name and the published way to name inputs, comments)."""
    proto = net.to_proto()
    proto.name = backbone.title
    inputs = [layer for layer in proto.layer if layer.type == "Input"]
    for layer in inputs:
        proto.input.append(layer.name)
        proto.input_shape.add().CopyFrom(layer.input_param.shape[0])
        proto.layer.remove(layer)
    comments = dict({backbone.rpn_names[0]: "RPN", "proposal": "Proposals",
                     backbone.pool_names[0]: "Detector head"}, **(comments or {}))
    return proto, comments
