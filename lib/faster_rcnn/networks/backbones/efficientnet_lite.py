"""EfficientNet-Lite0 (Tan and Le 2019; Lite: Liu 2020): shared layers, head, the classifier.

A block widens its bottom by a 1x1 convolution (expand), filters every channel by itself (depthwise)
and narrows again (project); between blocks of equal width it is a residual. The normalisations of
the published weights are part of the convolutions here (pretrained/efficientnet_lite.py).

TensorFlow pads a convolution of stride 2 more at the end than at the start, which Caffe cannot say.
A kernel one larger, whose first row and column are zero, pads both sides alike and gives the same
numbers: 3x3 becomes 4x4 with pad 1, 5x5 becomes 6x6 with pad 2.
"""
from functools import partial

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    Rates,
    average_pool,
    conv,
    conv_relu6,
    fc,
    frozen,
    no_rates,
)

# Of each block: channels out, size of the depthwise kernel, stride
BLOCKS = ((16, 3, 1), (24, 3, 2), (24, 3, 1), (40, 5, 2), (40, 5, 1), (80, 3, 2), (80, 3, 1),
          (80, 3, 1), (112, 5, 1), (112, 5, 1), (112, 5, 1), (192, 5, 2), (192, 5, 1), (192, 5, 1),
          (192, 5, 1), (320, 3, 1))
STEM, EXPANSION, HEAD = 32, 6, 1280
SHARED = 11         # blocks before the last stride
PIXEL_MEANS = (127.0, 127.0, 127.0)
# The stem and the blocks down to stride 4, which detectors leave alone
FROZEN = ("stem", *(f"block{number}/{part}" for number in range(3)
                    for part in ("expand", "depthwise", "project")))
# How fast convolutions that widen learn. Their weights hold a normalisation of about 1/5; beside it
# they would learn at that factor's square. At the full rate they diverge.
EXPAND_RATE = 0.04
# Four layers of stride 2 that start at their first pixel, not half before it, move a feature by 7.5
# pixels against the cell of 16 that anchors and rois take it for: 8 more zeros before move it back.
DETECTOR_PAD = 9


def efficientnet_features(net: NetSpec, rates: Rates, pad: int = 1) -> str:
    """The stem and blocks 0 to 10: 112 channels at stride 16; pad: of the stem."""
    rates = _as_normalised(rates)
    top = conv_relu6(net, "stem", "data", STEM, 4, rates, "relu_stem", pad=pad, stride=2)
    for number in range(SHARED):
        top = _block(net, number, top, rates, BLOCKS[number][2])
    return top


def efficientnet_head(net: NetSpec, bottom: str, rates: Rates, stride: int) -> str:
    """Blocks 11 to 15, the last convolution and its average: 1280 numbers per roi, or image."""
    top, rates = bottom, _as_normalised(rates)
    for number in range(SHARED, len(BLOCKS)):
        top = _block(net, number, top, rates, stride if number == SHARED else 1)
    top = conv_relu6(net, "head", top, HEAD, 1, rates, "relu_head")
    return average_pool(net, "pool_head", top)


def classifier() -> CommentedNet:
    """The ImageNet classifier; its blob `fc` (1, 1000) holds the scores."""
    net = NetSpec()
    net["data"] = L.Input(name="data", shape={"dim": [1, 3, 224, 224]})
    top = efficientnet_head(net, efficientnet_features(net, no_rates), no_rates, stride=2)
    fc(net, "fc", top, 1000, no_rates)
    proto = net.to_proto()
    proto.name = "EfficientNet-Lite0"
    return CommentedNet(proto, {"stem": "Input: BGR from 0 to 255 minus 127", "fc": "Classifier"})


def _as_normalised(rates):
    """The rates for convolutions that hold a normalisation: their biases do not learn."""
    def of(name):
        weight, *_ = rates(name) or ({"lr_mult": 0},)
        if not weight["lr_mult"]:
            return rates(name)
        if name.endswith("/expand"):
            weight = {**weight, "lr_mult": EXPAND_RATE}
        return [weight, *frozen(name)[1:]]
    return of


def _block(net, number, bottom, rates, stride):
    """Widen, filter, narrow; the first block does not widen."""
    width_out, size, _ = BLOCKS[number]
    width_in = BLOCKS[number - 1][0] if number else STEM
    wide = width_in * EXPANSION if number else STEM
    name, top = f"block{number}", bottom
    if number:
        top = conv_relu6(net, f"{name}/expand", top, wide, 1, rates, f"{name}/relu_expand")
    top = conv_relu6(net, f"{name}/depthwise", top, wide, size + 1 if stride == 2 else size, rates,
                     f"{name}/relu_depthwise", pad=size // 2, stride=stride, group=wide)
    top = conv(net, f"{name}/project", top, width_out, 1, rates)
    if stride > 1 or width_in != width_out:
        return top
    net[name] = L.Eltwise(net[bottom], net[top], name=name)
    return name


# Bins of 8 x 8 that the head's stride makes 4 x 4 cost a third of 14 x 14; anchors from 32 pixels
EFFICIENTNET_LITE0 = Backbone(
    "EfficientNet-Lite0", "EfficientNet-Lite0", "efficientnet_lite0",
    partial(efficientnet_features, pad=DETECTOR_PAD), channels=BLOCKS[SHARED - 1][0], rpn_width=256,
    pooled=8, bins=4, aligned=True, head=efficientnet_head, frozen=FROZEN,
    pool_names=("roi_pool", "roi_pool"), anchors=AnchorOptions(scales=(2, 4, 8, 16, 32)),
    carries_outputs=True, cls_loss=LABELS_BLOCKED, base_lr=0.004, pixel_means=PIXEL_MEANS)
