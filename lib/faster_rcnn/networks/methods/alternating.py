"""The six nets and four solvers of `faster_rcnn_alt_opt` for any backbone.

A stage trains one half of the detector. The other half rides along with learning rate 0, fed by
DummyData or ended by Silence, so that the snapshot of the last stage is a complete detector:

    stage*_rpn_train         shared layers + RPN           fc6 and fc7 ride along
    stage*_fast_rcnn_train   shared layers + head          the RPN rides along
    rpn_test                 shared layers + RPN           proposals with scores
    faster_rcnn_test         shared layers + RPN + head    detections

Stage 2 freezes the shared layers.
"""
import math
from functools import partial

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.networks.backbones.description import Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    dropout,
    fc,
    frozen,
    no_rates,
    relu,
    silence,
    trained,
    trained_except,
)
from faster_rcnn.networks.methods import detector
from faster_rcnn.networks.methods.detector import FRESH, FRESH_BOXES, TARGETS, Files
from faster_rcnn.networks.methods.solvers import solver_text

METHOD = "faster_rcnn_alt_opt"


def files(backbone: Backbone) -> Files:
    """The method's nets and solvers for a backbone."""
    made: Files = {}
    for stage in (1, 2):
        made[f"stage{stage}_rpn_train.pt"] = partial(rpn_train, backbone, stage)
        made[f"stage{stage}_fast_rcnn_train.pt"] = partial(fast_rcnn_train, backbone, stage)
        made[f"stage{stage}_rpn_solver60k80k.pt"] = partial(solver, backbone, stage, "rpn")
        made[f"stage{stage}_fast_rcnn_solver30k40k.pt"] = partial(solver, backbone, stage,
                                                                  "fast_rcnn")
    made["rpn_test.pt"] = partial(rpn_test, backbone)
    made["faster_rcnn_test.pt"] = partial(detector.detection_net, backbone)
    return made


def solver(backbone: Backbone, stage: int, kind: str) -> str:
    """Text of a solver; `kind` is rpn or fast_rcnn. The rate drops after 3/4 of the iterations.

    The published solvers state no `max_iter`: their schedule's 80000 and 40000 are the tools'
    defaults. A net with another schedule states its own.
    """
    number = 2 * (stage - 1) + ("rpn", "fast_rcnn").index(kind)
    iterations = (backbone.iterations or (80000, 40000, 80000, 40000))[number]
    return solver_text(backbone, f"{METHOD}/stage{stage}_{kind}_train.pt", kind,
                       iterations * 3 // 4, max_iter=iterations if backbone.iterations else None)


def rpn_train(backbone: Backbone, stage: int) -> CommentedNet:
    """Shared layers and RPN learn from annotated boxes; fc6 and fc7 ride along."""
    net = NetSpec()
    detector.data_layer(net, backbone, "input-data", ["data", "im_info", "gt_boxes"])
    features = backbone.features(net, _shared_rates(backbone, stage))
    scores, _ = detector.rpn(net, backbone, features, trained, FRESH)
    detector.rpn_losses(net, backbone, scores)
    _carried_head(net, backbone)
    return detector.finish(net, backbone, {
        "rpn-data": "RPN training",
        "dummy_roi_pool_conv5": "Detector head: not trained, its weights ride along"})


def fast_rcnn_train(backbone: Backbone, stage: int) -> CommentedNet:
    """Shared layers and head learn on stored proposals; the RPN rides along."""
    net = NetSpec()
    detector.data_layer(net, backbone, "data", ["data", "rois", "labels"] + TARGETS)
    features = backbone.features(net, _shared_rates(backbone, stage))
    pooled = detector.pool_rois(net, backbone, features)
    detector.train_head(net, backbone, pooled, trained)
    for top in detector.rpn(net, backbone, features, frozen, FRESH):
        silence(net, top)
    return detector.finish(net, backbone, {
        backbone.rpn_names[0]: "RPN: not trained, its weights ride along"})


def rpn_test(backbone: Backbone) -> CommentedNet:
    """An image in, proposals and their scores out."""
    net = detector.input_net()
    features = backbone.features(net, no_rates)
    detector.test_proposals(net, backbone, features, ["rois", "scores"])
    return detector.finish(net, backbone)


def _shared_rates(backbone, stage):
    return trained_except(backbone.frozen) if stage == 1 else frozen


def _carried_head(net, backbone):
    """The head behind dummy data: fc6 and fc7, as far as the published net carries their ReLU and
    Dropout, or the backbone's own."""
    shape = [backbone.channels, backbone.pooled, backbone.pooled]
    if not backbone.head:
        shape = [math.prod(shape)]
    net["dummy_roi_pool_conv5"] = L.DummyData(name="dummy_roi_pool_conv5", dummy_data_param={
        "shape": {"dim": [1, *shape]}, "data_filler": backbone.dummy_filler})
    if backbone.head:
        top = detector.conv_head(net, backbone, "dummy_roi_pool_conv5", frozen)
        if backbone.carries_outputs:
            scores, boxes = detector.outputs(net, backbone, top, frozen, FRESH, FRESH_BOXES)
            silence(net, boxes)
            # by this name the tools know that its columns are classes
            net["cls_prob"] = L.Softmax(net[scores], name="cls_prob")
            top = "cls_prob"
        silence(net, top)
        return
    top = fc(net, "fc6", "dummy_roi_pool_conv5", backbone.widths[0], frozen, backbone.fc_filler)
    if "relu6" in backbone.carried:
        top = relu(net, "relu6", top)
    if "drop6" in backbone.carried:
        top = dropout(net, "drop6", top, backbone.dropout)
    silence(net, fc(net, "fc7", top, backbone.widths[1], frozen, backbone.fc_filler))
