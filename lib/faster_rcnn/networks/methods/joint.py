"""The two nets and the solver of `faster_rcnn_end2end` (approximate joint training).

RPN and detector learn together, in one pass over an image: the rois that the RPN proposes are taken
as given by the head (Ren et al. 2015, section 3.2).

    train     shared layers + RPN + head, four losses
    test      the same layers; detections
"""
from dataclasses import replace
from functools import partial

from caffe.net_spec import NetSpec
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    Fields,
    Rates,
    param_str,
    python,
    trained,
    trained_except,
)
from faster_rcnn.networks.methods import detector
from faster_rcnn.networks.methods.detector import FRESH, TARGETS, Files
from faster_rcnn.networks.methods.solvers import solver_text

METHOD = "faster_rcnn_end2end"
RPN_NAMES = ("rpn_conv/3x3", "rpn_relu/3x3", "rpn/output")  # in ZF too


def files(backbone: Backbone) -> Files:
    """The method's nets and solvers for a backbone.

    Nets whose head is made of convolutions have twins *_align with ROIAlign of 7 x 7 bins, unless
    they stand on ROIAlign anyway.
    """
    backbone = published(backbone)
    made = _nets_and_solver(backbone, "")
    if backbone.head and not backbone.aligned:
        made.update(_nets_and_solver(aligned(backbone), "_align"))
    return made


def _nets_and_solver(backbone, suffix):
    return {f"train{suffix}.prototxt": partial(train, backbone),
            f"test{suffix}.prototxt": partial(detector.detection_net, backbone),
            f"solver{suffix}.prototxt": partial(solver, backbone, METHOD, suffix)}


def published(backbone: Backbone) -> Backbone:
    """The backbone with the names and loss fields that the joint nets were published with."""
    return replace(backbone, rpn_names=RPN_NAMES,
                   cls_loss={**backbone.cls_loss, **LABELS_BLOCKED})


def aligned(backbone: Backbone) -> Backbone:
    """The backbone with ROIAlign; heads of convolutions then take its bins without a stride."""
    if backbone.aligned:
        return backbone
    return replace(backbone, aligned=True,
                   pooled=backbone.bins if backbone.head else backbone.pooled)


def solver(backbone: Backbone, method: str, suffix: str = "") -> str:
    """Text of the solver; the rate drops after 5/7 of the iterations."""
    iterations = backbone.joint_iterations or backbone.data_set.joint_iterations
    return solver_text(backbone, f"{method}/train{suffix}.prototxt", "faster_rcnn",
                       iterations * 5 // 7, iterations, backbone.iter_size)


def train(backbone: Backbone, rates: Rates = trained, proposal: Fields | None = None,
          targets: Fields | None = None) -> CommentedNet:
    """An image and its annotated boxes in; losses of the RPN and of the detector out.

    rates: of all layers but the backbone's frozen ones; proposal, targets: further parameters of
    the layers that make and choose the rois.
    """
    net = NetSpec()
    detector.data_layer(net, backbone, "input-data", ["data", "im_info", "gt_boxes"])
    features = backbone.features(net, trained_except(backbone.frozen, rates))
    scores, _ = detector.rpn(net, backbone, features, rates, FRESH)
    detector.rpn_losses(net, backbone, scores)
    detector.proposals(net, backbone, ["rpn_rois"], **(proposal or {}))
    python(net, "roi-data", "rpn.proposal_target_layer", "ProposalTargetLayer",
           param_str(num_classes=backbone.data_set.classes, **(targets or {})),
           ["rpn_rois", "gt_boxes"], ["rois", "labels"] + TARGETS)
    detector.train_head(net, backbone, detector.pool_rois(net, backbone, features), rates)
    return detector.finish(net, backbone, {"rpn-data": "RPN training"})
