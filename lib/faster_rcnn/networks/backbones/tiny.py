"""Tiny: a small net for the embedded data set, images of about 200 pixels on two CPU cores."""
from caffe.net_spec import NetSpec
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, Backbone
from faster_rcnn.networks.backbones.layers import Rates, conv_relu, xavier


def tiny_features(net: NetSpec, rates: Rates) -> str:
    """Six convolutions: 96 channels at stride 8; a feature sees 65 pixels of the image."""
    top = "data"
    for number, width, kernel, stride in ((1, 16, 5, 2), (2, 32, 3, 2), (3, 64, 3, 2),
                                          (4, 96, 3, 1), (5, 96, 3, 1), (6, 96, 3, 1)):
        top = conv_relu(net, f"conv{number}", top, width, kernel, rates, f"relu_conv{number}",
                        pad=kernel // 2, stride=stride)
    return top


TINY = Backbone(
    "Tiny", "Tiny", "tiny", tiny_features, channels=96, rpn_width=96, pooled=5, stride=8,
    widths=(128, 128), frozen=("conv1",), anchors=AnchorOptions(scales=(1.5, 2.5, 4, 6)),
    fc_filler=xavier(), dropout=None, carried=("relu6",), cls_loss=LABELS_BLOCKED, base_lr=0.02,
    iterations=(1500, 3000, 600, 1600), joint_iterations=4200)
