"""The nets and solvers of `fast_rcnn` (Girshick 2015): the detector alone, on given proposals.

    train, test, solver     shared layers + head
    no_bbox_reg/            classes only: train, test, solver
    piecewise/              only the box regressor learns, on a net of no_bbox_reg: train, solver
    fc_only/                no convolution learns: train, solver
    compressed/             fc6 and fc7 as products of two layers (tools/compress_net.py): test

The folders are the experiments of the paper, for the nets in VARIANTS.
"""
from collections.abc import Sequence
from functools import partial

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.networks.backbones.description import PASCAL_VOC, Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    Rates,
    frozen,
    no_rates,
    trained,
    trained_except,
)
from faster_rcnn.networks.methods import detector
from faster_rcnn.networks.methods.detector import TARGETS, Files
from faster_rcnn.networks.methods.solvers import solver_text

METHOD = "fast_rcnn"
# Nets with variants: sizes of fc6_L and fc7_L
VARIANTS = {"VGG16": (1024, 256), "VGG_CNN_M_1024": (1024, 256), "CaffeNet": (1024, 256),
            "Tiny": (64, 32)}


def files(backbone: Backbone) -> Files:
    """The method's nets and solvers for a backbone."""
    made: Files = {"train.prototxt": partial(train, backbone),
                   "test.prototxt": partial(test, backbone),
                   "solver.prototxt": partial(solver, backbone, "")}
    if backbone.data_set.folder == PASCAL_VOC.folder and backbone.folder in VARIANTS:
        made.update(_variants(backbone))
    return made


def solver(backbone: Backbone, variant: str) -> str:
    """Text of a solver; variant: "", or the folder of its net with a slash."""
    iterations, stepsize = backbone.data_set.fast_rcnn_schedule
    if backbone.iterations:
        iterations = backbone.iterations[1]
        stepsize = iterations * 3 // 4
    return solver_text(backbone, f"{METHOD}/{variant}train.prototxt", "fast_rcnn", stepsize,
                       iterations)


def train(backbone: Backbone, feature_rates: Rates | None = None) -> CommentedNet:
    """Images and rois with their labels and targets in; two losses out."""
    net = NetSpec()
    detector.data_layer(net, backbone, "data", ["data", "rois", "labels"] + TARGETS)
    features = backbone.features(net, feature_rates or trained_except(backbone.frozen))
    detector.train_head(net, backbone, detector.pool_rois(net, backbone, features), trained)
    return detector.finish(net, backbone)


def test(backbone: Backbone) -> CommentedNet:
    """An image (or a pyramid of it) and rois in; class probabilities and box deltas out."""
    net = NetSpec()
    net["data"] = L.Input(name="data", shape={"dim": [1, 3, 224, 224]})
    net["rois"] = L.Input(name="rois", shape={"dim": [1, 5]})
    features = backbone.features(net, no_rates)
    detector.test_head(net, backbone, detector.pool_rois(net, backbone, features))
    return detector.finish(net, backbone)


def without_boxes(content: CommentedNet) -> CommentedNet:
    """The net without box regression, and without the data layer's targets."""
    proto = content.message
    for layer in [layer for layer in proto.layer if layer.name in ("bbox_pred", "loss_bbox")]:
        proto.layer.remove(layer)
    tops = [top for top in proto.layer[0].top if top not in TARGETS]
    proto.layer[0].top[:] = tops
    return content


def boxes_only(content: CommentedNet) -> CommentedNet:
    """Only the box regressor learns; the classes' loss is shown, not learned."""
    for layer in content.message.layer:
        for param in layer.param if layer.name != "bbox_pred" else ():
            param.lr_mult = param.decay_mult = 0
        if layer.name == "loss_cls":
            layer.loss_weight[:] = [0]
    return content


def compressed(content: CommentedNet, ranks: Sequence[int]) -> CommentedNet:
    """fc6 and fc7 become <name>_L (`rank` outputs, no bias) and <name>_U (as before)."""
    proto = content.message
    layers = list(proto.layer)
    del proto.layer[:]
    for layer in layers:
        for blobs in (layer.bottom, layer.top):
            blobs[:] = [blob + "_U" if blob in ("fc6", "fc7") else blob for blob in blobs]
        if layer.name in ("fc6", "fc7"):
            rank = ranks[("fc6", "fc7").index(layer.name)]
            lower = proto.layer.add(name=layer.name + "_L", type=layer.type, bottom=layer.bottom,
                                    top=[layer.name + "_L"])
            lower.inner_product_param.num_output = rank
            lower.inner_product_param.bias_term = False
            layer.bottom[:] = lower.top
            layer.name += "_U"
        proto.layer.add().CopyFrom(layer)
    return content


def _variants(backbone):
    made = {"no_bbox_reg/train.prototxt": lambda: without_boxes(train(backbone)),
            "no_bbox_reg/test.prototxt": lambda: without_boxes(test(backbone)),
            "piecewise/train.prototxt": lambda: boxes_only(train(backbone)),
            "fc_only/train.prototxt": partial(train, backbone, frozen),
            "compressed/test.prototxt": lambda: compressed(test(backbone),
                                                           VARIANTS[backbone.folder])}
    made.update({f"{variant}/solver.prototxt": partial(solver, backbone, variant + "/")
                 for variant in ("no_bbox_reg", "piecewise", "fc_only")})
    return made
