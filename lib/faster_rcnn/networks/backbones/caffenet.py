"""CaffeNet: BVLC's AlexNet (Krizhevsky et al. 2012). Published for Fast R-CNN only."""
from caffe.net_spec import NetSpec
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, Backbone
from faster_rcnn.networks.backbones.layers import Rates, conv_relu, lrn, max_pool


def caffenet_features(net: NetSpec, rates: Rates) -> str:
    """conv1 to conv5: 256 channels; padded, so that features lie 16 pixels apart from the image's
    border on."""
    top = "data"
    for number, width, kernel, geometry in ((1, 96, 11, {"pad": 5, "stride": 4}),
                                            (2, 256, 5, {"pad": 2, "group": 2})):
        top = conv_relu(net, f"conv{number}", top, width, kernel, rates, f"relu{number}",
                        **geometry)
        top = max_pool(net, f"pool{number}", top, 3, 2, pad=1)
        top = lrn(net, f"norm{number}", top, local_size=5, alpha=0.0001, beta=0.75)
    for number, width, group in ((3, 384, 1), (4, 384, 2), (5, 256, 2)):
        top = conv_relu(net, f"conv{number}", top, width, 3, rates, f"relu{number}", pad=1,
                        group=group)
    return top


CAFFENET = Backbone(
    "CaffeNet", "CaffeNet", "caffenet", caffenet_features, channels=256, rpn_width=256, pooled=6,
    widths=(4096, 4096), frozen=("conv1",), cls_loss=LABELS_BLOCKED)
