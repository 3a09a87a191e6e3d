"""VGG_CNN_M_1024 (Chatfield et al. 2014) and VGG16 (Simonyan and Zisserman 2015)."""
from caffe.net_spec import NetSpec
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, Backbone
from faster_rcnn.networks.backbones.layers import Rates, conv_relu, lrn, max_pool


def cnn_m_features(net: NetSpec, rates: Rates) -> str:
    """The "medium" net; LRN across channels. conv1 to conv5: 512 channels at stride 16."""
    top = "data"
    for number, width, kernel, pad in ((1, 96, 7, 0), (2, 256, 5, 1)):
        top = conv_relu(net, f"conv{number}", top, width, kernel, rates, f"relu{number}",
                        pad=pad, stride=2)
        top = lrn(net, f"norm{number}", top, local_size=5, alpha=0.0005, beta=0.75, k=2)
        top = max_pool(net, f"pool{number}", top, 3, 2)
    for number in (3, 4, 5):
        top = conv_relu(net, f"conv{number}", top, 512, 3, rates, f"relu{number}", pad=1)
    return top


def vgg16_features(net: NetSpec, rates: Rates) -> str:
    """Thirteen 3x3 convolutions, without the last pooling: 512 channels at stride 16."""
    top = "data"
    for block, (count, width) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        if block > 1:
            top = max_pool(net, f"pool{block - 1}", top, 2, 2)
        for i in range(1, count + 1):
            top = conv_relu(net, f"conv{block}_{i}", top, width, 3, rates, f"relu{block}_{i}",
                            pad=1)
    return top


VGG_CNN_M_1024 = Backbone(
    "VGG_CNN_M_1024", "VGG_CNN_M_1024", "vgg_cnn_m_1024", cnn_m_features, channels=512,
    rpn_width=256, pooled=6, widths=(4096, 1024), frozen=("conv1",), cls_loss=LABELS_BLOCKED)

VGG16 = Backbone(
    "VGG16", "VGG_ILSVRC_16_layers", "vgg16", vgg16_features, channels=512, rpn_width=512,
    pooled=7, widths=(4096, 4096), frozen=("conv1_1", "conv1_2", "conv2_1", "conv2_2"),
    carried=("relu6", "drop6"), dummy_filler={"type": "constant", "value": 0}, iter_size=2)
