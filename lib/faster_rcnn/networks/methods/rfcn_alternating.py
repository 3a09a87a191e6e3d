"""The seven nets and five solvers of `rfcn_alt_opt_5step_ohem`: RPN and R-FCN learn in turn.

    stage1_rpn_train                shared layers + RPN
    stage1, stage2 rfcn_ohem_train  shared layers + position-sensitive maps, on stored proposals
    stage2, stage3 rpn_train        RPN alone, on the shared layers of the R-FCN before it
    rpn_test, rfcn_test             proposals with scores; detections on stored proposals
"""
from dataclasses import replace
from functools import partial

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.networks.backbones.description import Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    frozen,
    no_rates,
    param_str,
    python,
    trained,
    trained_except,
)
from faster_rcnn.networks.methods import detector, rfcn
from faster_rcnn.networks.methods.detector import FRESH, TARGETS, Files
from faster_rcnn.networks.methods.solvers import solver_text

METHOD = "rfcn_alt_opt_5step_ohem"
# Kind of net: iterations, and when the rate drops
SCHEDULES = {"rpn": (80000, 60000), "rfcn_ohem": (120000, 80000)}


def files(backbone: Backbone) -> Files:
    """The method's nets and solvers for a backbone."""
    backbone = replace(backbone, rpn_width=256)
    made: Files = {"rpn_test.pt": partial(rpn_test, backbone),
                   "rfcn_test.pt": partial(rfcn_test, backbone)}
    for stage, kind in ((1, "rpn"), (1, "rfcn_ohem"), (2, "rpn"), (2, "rfcn_ohem"), (3, "rpn")):
        iterations, stepsize = SCHEDULES[kind]
        name = f"stage{stage}_{kind}_solver{stepsize // 1000}k{iterations // 1000}k.pt"
        net = f"stage{stage}_{kind}_train.pt"
        made[net] = (partial(rpn_train, backbone, stage) if kind == "rpn"
                     else partial(rfcn_train, backbone))
        made[name] = partial(solver_text, backbone, f"{METHOD}/{net}", kind, stepsize, iterations,
                             backbone.iter_size)
    return made


def rpn_train(backbone: Backbone, stage: int) -> CommentedNet:
    """Annotated boxes teach the RPN and, in stage 1, the shared layers."""
    net = NetSpec()
    detector.data_layer(net, backbone, "input-data", ["data", "im_info", "gt_boxes"])
    rates = trained_except(backbone.frozen) if stage == 1 else frozen
    scores, _ = detector.rpn(net, backbone, backbone.features(net, rates), trained, FRESH)
    detector.rpn_losses(net, backbone, scores)
    return rfcn.finish(net, backbone, {"rpn-data": "RPN training"})


def rfcn_train(backbone: Backbone) -> CommentedNet:
    """Shared layers and maps learn from the hardest of the stored proposals."""
    net = NetSpec()
    python(net, "data", "roi_data_layer.layer", "RoIDataLayer", param_str(num_classes=2), [],
           ["data", "rois", "labels"] + TARGETS)
    rates = trained_except(backbone.frozen)
    rfcn.pooled_maps(net, backbone, backbone.features(net, rates), rates, FRESH)
    rfcn.ohem_losses(net)
    return rfcn.finish(net, backbone)


def rpn_test(backbone: Backbone) -> CommentedNet:
    """An image in, proposals and their scores out."""
    net = detector.input_net()
    detector.test_proposals(net, backbone, backbone.features(net, no_rates), ["rois", "scores"])
    return rfcn.finish(net, backbone)


def rfcn_test(backbone: Backbone) -> CommentedNet:
    """An image and rois in; class probabilities and box deltas out."""
    net = NetSpec()
    net["data"] = L.Input(name="data", shape={"dim": [1, 3, 224, 224]})
    net["rois"] = L.Input(name="rois", shape={"dim": [1, 5]})
    rfcn.detections(net, backbone, backbone.features(net, no_rates))
    return rfcn.finish(net, backbone)
