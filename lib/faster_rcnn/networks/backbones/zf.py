"""ZF (Zeiler and Fergus 2014): five convolutions; padded pooling, LRN within channels."""
from caffe.net_spec import NetSpec
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, LOSS_NORMALIZED, Backbone
from faster_rcnn.networks.backbones.layers import Rates, conv_relu, lrn, max_pool


def zf_features(net: NetSpec, rates: Rates) -> str:
    """conv1 to conv5: 256 channels at stride 16."""
    top = "data"
    for number, width, kernel, pad in ((1, 96, 7, 3), (2, 256, 5, 2)):
        top = conv_relu(net, f"conv{number}", top, width, kernel, rates, f"relu{number}",
                        pad=pad, stride=2)
        top = lrn(net, f"norm{number}", top, local_size=3, alpha=0.00005, beta=0.75,
                  norm_region="WITHIN_CHANNEL", engine="CAFFE")
        top = max_pool(net, f"pool{number}", top, 3, 2, pad=1)
    for number, width in ((3, 384), (4, 384), (5, 256)):
        top = conv_relu(net, f"conv{number}", top, width, 3, rates, f"relu{number}", pad=1)
    return top


ZF = Backbone(
    "ZF", "ZF", "zf", zf_features, channels=256, rpn_width=256, pooled=6, widths=(4096, 4096),
    rpn_names=("rpn_conv1", "rpn_relu1", "rpn_conv1"),
    pool_names=("roi_pool_conv5", "roi_pool_conv5"), loss_tops=("cls_loss", "bbox_loss"),
    dropout={"dropout_ratio": 0.5, "scale_train": False}, dropout_in_test=True,
    carried=("relu6",), cls_loss={**LABELS_BLOCKED, **LOSS_NORMALIZED}, cls_prob=LOSS_NORMALIZED,
    iter_size=2)
