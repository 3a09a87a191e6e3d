"""The nets and solvers of `rfcn_end2end` (Dai et al. 2016, R-FCN): everything on the whole image.

    train_agnostic        shared layers + RPN + position-sensitive maps, four losses
    train_agnostic_ohem   the same; only the 128 rois with the largest losses count
    test_agnostic         the same layers; detections

The fifth stage of the ResNet keeps the stride of the fourth by dilation; a roi's scores are the
means of its bins, each read from maps of its own. Boxes are class-agnostic: background, foreground.
"""
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.networks.backbones.description import Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    Fields,
    Rates,
    conv,
    no_rates,
    param_str,
    python,
    relu,
    silence,
    trained,
    trained_except,
)
from faster_rcnn.networks.backbones.resnet import stage
from faster_rcnn.networks.methods import detector
from faster_rcnn.networks.methods.detector import FRESH, TARGETS, Files
from faster_rcnn.networks.methods.solvers import solver_text

METHOD = "rfcn_end2end"
BINS = 7                    # along each side of a roi
BOX_COLUMNS = 8             # 4 of the background, 4 of objects
ROIS_PER_IMAGE = 128        # that count in the losses
# Of each data set, as published: per solver its iterations, when the rate drops, the rate and the
# images per update
SCHEDULES = {
    "pascal_voc": {"": (110000, 80000, 0.001, 2), "_ohem": (110000, 80000, 0.001, 2)},
    "coco": {"": (960000, 640000, 0.001, 2), "_ohem": (1920000, 1280000, 0.0005, 1)}}
RPN_SIGMA = {"pascal_voc": 3, "coco": 1}    # of the boxes' loss
ALL_BLOCKED = [False, False]


def files(backbone: Backbone) -> Files:
    """The method's nets and solvers for a backbone."""
    made: Files = {"test_agnostic.prototxt": partial(test, backbone)}
    for suffix, loss in (("", losses), ("_ohem", ohem_losses)):
        name = f"train_agnostic{suffix}.prototxt"
        made[name] = partial(train, backbone, loss)
        made[f"solver{suffix}.prototxt"] = partial(solver, backbone, name, suffix)
    return made


def solver(backbone: Backbone, net: str, suffix: str) -> str:
    """Text of the solver of the file `net`."""
    schedule = SCHEDULES[backbone.data_set.folder][suffix]
    iterations, stepsize, base_lr, iter_size = schedule
    return solver_text(replace(backbone, base_lr=base_lr), f"{METHOD}/{net}", f"rfcn{suffix}",
                       stepsize, iterations, iter_size)


def train(backbone: Backbone, add_losses: Callable[[NetSpec], None]) -> CommentedNet:
    """An image and its annotated boxes in; losses of the RPN and of the detector out."""
    net = NetSpec()
    detector.data_layer(net, backbone, "input-data", ["data", "im_info", "gt_boxes"])
    rates = trained_except(backbone.frozen)
    features = backbone.features(net, rates)
    scores, _ = detector.rpn(net, backbone, features, trained, FRESH)
    detector.rpn_losses(net, backbone, scores, RPN_SIGMA[backbone.data_set.folder])
    detector.proposals(net, backbone, ["rpn_rois"])
    python(net, "roi-data", "rpn.proposal_target_layer", "ProposalTargetLayer",
           param_str(num_classes=2), ["rpn_rois", "gt_boxes"], ["rois", "labels"] + TARGETS)
    pooled_maps(net, backbone, features, rates, FRESH)
    add_losses(net)
    return finish(net, backbone, {"rpn-data": "RPN training"})


def test(backbone: Backbone) -> CommentedNet:
    """An image in; proposals, class probabilities and box deltas out."""
    net = detector.input_net()
    features = backbone.features(net, no_rates)
    detector.test_proposals(net, backbone, features, ["rois"])
    detections(net, backbone, features)
    return finish(net, backbone)


def detections(net: NetSpec, backbone: Backbone, features: str) -> None:
    """The rois' class probabilities and box deltas, with two axes each."""
    pooled_maps(net, backbone, features, no_rates, boxes_top="bbox_pred_pre")
    net["cls_prob_pre"] = L.Softmax(net["cls_score"], name="cls_prob")
    for blob, columns in (("cls_prob", backbone.data_set.classes), ("bbox_pred", BOX_COLUMNS)):
        net[blob] = L.Reshape(net[f"{blob}_pre"], name=f"{blob}_reshape",
                              reshape_param={"shape": {"dim": [-1, columns]}})


def pooled_maps(net: NetSpec, backbone: Backbone, features: str, rates: Rates,
                filler: Fields | None = None, boxes_top: str = "bbox_pred") -> None:
    """The fifth stage, position-sensitive maps, and the means of the rois' bins: cls_score
    (R, K, 1, 1) and boxes_top (R, 8, 1, 1)."""
    classes = backbone.data_set.classes
    top = stage(net, features, rates, 5, "abc", stride=1, dilation=2)
    top = relu(net, "conv_new_1_relu", conv(net, "conv_new_1", top, 1024, 1, rates, filler=filler))
    for kind, columns in (("cls", classes), ("bbox", BOX_COLUMNS)):
        conv(net, f"rfcn_{kind}", top, columns * BINS ** 2, 1, rates, filler=filler)
    for name, maps, columns, blob in (("cls", "rfcn_cls", classes, "cls_score"),
                                      ("loc", "rfcn_bbox", BOX_COLUMNS, boxes_top)):
        pooled = f"psroipooled_{name}_rois"
        net[pooled] = L.PSROIPooling(net[maps], net["rois"], name=pooled, psroi_pooling_param={
            "spatial_scale": 1 / backbone.stride, "output_dim": columns, "group_size": BINS})
        mean = "ave_cls_score_rois" if name == "cls" else "ave_bbox_pred_rois"
        net[blob] = L.Pooling(net[pooled], name=mean, pooling_param={
            "pool": "AVE", "kernel_size": BINS, "stride": BINS})


def losses(net: NetSpec) -> None:
    """All rois that were sampled count."""
    _class_loss(net, "labels")
    _box_loss(net, "bbox_inside_weights")
    silence(net, "bbox_outside_weights")


def ohem_losses(net: NetSpec) -> None:
    """Only the rois with the largest losses count (Shrivastava et al. 2016)."""
    unused = L.SoftmaxWithLossOHEM(
        net["cls_score"], net["labels"], name="per_roi_loss_cls", ntop=3, loss_weight=[0, 0, 0],
        propagate_down=ALL_BLOCKED)
    net["temp_loss_cls"], net["temp_prob_cls"], net["per_roi_loss_cls"] = unused
    unused = L.SmoothL1LossOHEM(
        *[net[name] for name in ("bbox_pred", "bbox_targets", "bbox_inside_weights")],
        name="per_roi_loss_bbox", ntop=2, loss_weight=[0, 0], propagate_down=[False] * 3)
    net["temp_loss_bbox"], net["per_roi_loss_bbox"] = unused
    net["per_roi_loss"] = L.Eltwise(net["per_roi_loss_cls"], net["per_roi_loss_bbox"],
                                    name="per_roi_loss", propagate_down=ALL_BLOCKED)
    net["labels_ohem"], net["bbox_loss_weights_ohem"] = L.BoxAnnotatorOHEM(
        *[net[name] for name in ("rois", "per_roi_loss", "labels", "bbox_inside_weights")],
        name="annotator_detector", ntop=2, propagate_down=[False] * 4,
        box_annotator_ohem_param={"roi_per_img": ROIS_PER_IMAGE, "ignore_label": -1})
    for blob in ("bbox_outside_weights", "temp_loss_cls", "temp_prob_cls", "temp_loss_bbox"):
        silence(net, blob)
    _class_loss(net, "labels_ohem", ignore_label=-1)
    _box_loss(net, "bbox_loss_weights_ohem")


def finish(net: NetSpec, backbone: Backbone,
           comments: dict[str, str] | None = None) -> CommentedNet:
    """As detector.finish, with the parts of R-FCN."""
    return detector.finish(net, backbone, {
        "conv_new_1": "Position-sensitive maps", "psroipooled_cls_rois": "Rois",
        **(comments or {})})


def _class_loss(net, labels, **loss_param):
    ignored = {"loss_param": loss_param} if loss_param else {}
    net["loss_cls"] = L.SoftmaxWithLoss(net["cls_score"], net[labels], name="loss", loss_weight=1,
                                        propagate_down=[True, False], **ignored)
    measured = {"accuracy_param": loss_param} if loss_param else {}
    net["accuarcy"] = L.Accuracy(net["cls_score"], net[labels], name="accuarcy",
                                 propagate_down=ALL_BLOCKED, **measured)


def _box_loss(net, weights):
    net["loss_bbox"] = L.SmoothL1LossOHEM(
        net["bbox_pred"], net["bbox_targets"], net[weights], name="loss_bbox", loss_weight=1,
        propagate_down=[True, False, False], loss_param={
            "normalization": "PRE_FIXED", "pre_fixed_normalizer": ROIS_PER_IMAGE})
