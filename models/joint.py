"""The two nets and the solver of `faster_rcnn_end2end` (approximate joint training).

RPN and detector learn together, in one pass over an image: the rois that the RPN proposes are taken
as given by the head (Ren et al. 2015, section 3.2).

    train     shared layers + RPN + head, four losses
    test      the same layers; detections
"""
from dataclasses import replace

from caffe.net_spec import NetSpec

import detector
from backbones import LABELS_BLOCKED
from detector import FRESH, TARGETS
from spec_layers import param_str, python, trained, trained_except

METHOD = "faster_rcnn_end2end"
RPN_NAMES = ("rpn_conv/3x3", "rpn_relu/3x3", "rpn/output")  # in ZF too


def files(backbone):
    """File name -> solver text, or (NetParameter, {layer name: comment above it}).

    Nets whose head is made of convolutions have twins *_align with ROIAlign of 7 x 7 bins.
    """
    backbone = published(backbone)
    made = _nets_and_solver(backbone, "")
    if backbone.head:
        made.update(_nets_and_solver(aligned(backbone), "_align"))
    return made


def _nets_and_solver(backbone, suffix):
    return {f"train{suffix}.prototxt": train(backbone),
            f"test{suffix}.prototxt": detector.detection_net(backbone),
            f"solver{suffix}.prototxt": solver(backbone, METHOD, suffix)}


def published(backbone):
    """The backbone with the names and loss fields that the joint nets were published with."""
    return replace(backbone, rpn_names=RPN_NAMES,
                   cls_loss={**backbone.cls_loss, **LABELS_BLOCKED})


def aligned(backbone):
    """The backbone with ROIAlign; heads of convolutions then take 7 x 7 bins."""
    return replace(backbone, aligned=True, pooled=7 if backbone.head else backbone.pooled)


def solver(backbone, method, suffix=""):
    """Text of the solver; the rate drops after 5/7 of the iterations."""
    iterations = backbone.joint_iterations or backbone.data_set.joint_iterations
    return detector.solver(backbone, f"{method}/train{suffix}.prototxt",
                           f"{backbone.prefix}_faster_rcnn", iterations * 5 // 7, iterations,
                           backbone.iter_size)


def train(backbone, rates=trained, proposal=None, targets=None):
    """An image and its annotated boxes in; losses of the RPN and of the detector out.

    rates: of all layers but the backbone's frozen ones; proposal, targets: dicts, further
    parameters of the layers that make and choose the rois.
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
