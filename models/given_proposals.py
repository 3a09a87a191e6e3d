"""The nets and solvers of `fast_rcnn` (Girshick 2015): the detector alone, on given proposals.

    train, test, solver     shared layers + head
    no_bbox_reg/            classes only: train, test, solver
    piecewise/              only the box regressor learns, on a net of no_bbox_reg: train, solver
    fc_only/                no convolution learns: train, solver
    compressed/             fc6 and fc7 as products of two layers (tools/compress_net.py): test

The folders are the experiments of the paper, for the nets in VARIANTS.
"""
from caffe.net_spec import NetSpec, layers as L

import detector
from backbones import PASCAL_VOC
from detector import TARGETS
from spec_layers import frozen, no_rates, trained, trained_except

METHOD = "fast_rcnn"
# Nets with variants: sizes of fc6_L and fc7_L
VARIANTS = {"VGG16": (1024, 256), "VGG_CNN_M_1024": (1024, 256), "CaffeNet": (1024, 256),
            "Tiny": (64, 32)}


def files(backbone):
    """File name -> solver text, or (NetParameter, {layer name: comment above it})."""
    made = {"train.prototxt": train(backbone), "test.prototxt": test(backbone),
            "solver.prototxt": solver(backbone, "")}
    if backbone.data_set is PASCAL_VOC and backbone.folder in VARIANTS:
        made.update(_variants(backbone))
    return made


def solver(backbone, variant):
    """Text of a solver; variant: "", or the folder of its net with a slash."""
    iterations, stepsize = backbone.data_set.fast_rcnn_schedule
    if backbone.iterations:
        iterations = backbone.iterations[1]
        stepsize = iterations * 3 // 4
    return detector.solver(backbone, f"{METHOD}/{variant}train.prototxt",
                           f"{backbone.prefix}_fast_rcnn", stepsize, iterations)


def train(backbone, feature_rates=None):
    """Images and rois with their labels and targets in; two losses out."""
    net = NetSpec()
    detector.data_layer(net, backbone, "data", ["data", "rois", "labels"] + TARGETS)
    features = backbone.features(net, feature_rates or trained_except(backbone.frozen))
    detector.train_head(net, backbone, detector.pool_rois(net, backbone, features), trained)
    return detector.finish(net, backbone)


def test(backbone):
    """An image (or a pyramid of it) and rois in; class probabilities and box deltas out."""
    net = NetSpec()
    net["data"] = L.Input(name="data", shape={"dim": [1, 3, 224, 224]})
    net["rois"] = L.Input(name="rois", shape={"dim": [1, 5]})
    features = backbone.features(net, no_rates)
    detector.test_head(net, backbone, detector.pool_rois(net, backbone, features))
    return detector.finish(net, backbone)


def _variants(backbone):
    made = {"no_bbox_reg/train.prototxt": _without_boxes(train(backbone)),
            "no_bbox_reg/test.prototxt": _without_boxes(test(backbone)),
            "piecewise/train.prototxt": _boxes_only(train(backbone)),
            "fc_only/train.prototxt": train(backbone, frozen),
            "compressed/test.prototxt": _compressed(test(backbone), VARIANTS[backbone.folder])}
    made.update({f"{variant}/solver.prototxt": solver(backbone, variant + "/")
                 for variant in ("no_bbox_reg", "piecewise", "fc_only")})
    return made


def _without_boxes(content):
    """The net without box regression, and without the data layer's targets."""
    proto, comments = content
    for layer in [layer for layer in proto.layer if layer.name in ("bbox_pred", "loss_bbox")]:
        proto.layer.remove(layer)
    tops = [top for top in proto.layer[0].top if top not in TARGETS]
    proto.layer[0].top[:] = tops
    return proto, comments


def _boxes_only(content):
    """Everything but the box regressor stands still; the classes' loss is shown, not learned."""
    proto, comments = content
    for layer in proto.layer:
        for param in layer.param if layer.name != "bbox_pred" else ():
            param.lr_mult = param.decay_mult = 0
        if layer.name == "loss_cls":
            layer.loss_weight[:] = [0]
    return proto, comments


def _compressed(content, ranks):
    """fc6 and fc7 become <name>_L (`rank` outputs, no bias) and <name>_U (as before)."""
    proto, comments = content
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
    return proto, comments
