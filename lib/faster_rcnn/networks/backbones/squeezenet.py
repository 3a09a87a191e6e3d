"""SqueezeNet v1.0 (Iandola et al. 2016): shared layers of a detector; the ImageNet classifier."""
from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    Rates,
    average_pool,
    conv,
    conv_relu,
    dropout,
    frozen,
    max_pool,
    no_rates,
    relu,
    xavier,
)

# number: (squeeze width, expand width of each branch)
FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192),
         8: (64, 256), 9: (64, 256)}


def squeezenet_features(net: NetSpec, rates: Rates) -> str:
    """conv1 to fire9: 512 channels at stride 16."""
    top = conv_relu(net, "conv1", "data", 96, 7, rates, "relu_conv1", stride=2)
    top = max_pool(net, "pool1", top, 3, 2)
    for number in FIRES:
        top = _fire(net, number, top, rates)
        if number in (4, 8):
            top = max_pool(net, f"pool{number}", top, 3, 2)
    return top


def detector_features(net: NetSpec, rates: Rates) -> str:
    """The shared layers of a detector: fire9, every channel normalised (BatchNorm).

    SqueezeNet has no normalisation of its own; its last values reach hundreds and differ a lot
    from channel to channel (deviations of 0.1 to 74 on photographs, 17 in the median), so that new
    layers on top diverge or crawl. `eps` keeps what is nearly constant in an image from being blown
    up. Frozen layers (stage 2) are normalised by the collected statistics, as in a test.
    """
    top = squeezenet_features(net, rates)
    statistics = {"moving_average_fraction": 0.99, "eps": 10}
    if rates is frozen:
        statistics["use_global_stats"] = True
    net["fire9/bn"] = L.BatchNorm(net[top], name="fire9/bn", batch_norm_param=statistics)
    return "fire9/bn"


def classifier() -> CommentedNet:
    """The classification net; its blob `pool_final` (1, 1000, 1, 1) holds the scores."""
    net = NetSpec()
    net["data"] = L.Input(name="data", shape={"dim": [1, 3, 227, 227]})
    top = squeezenet_features(net, no_rates)
    top = dropout(net, "drop9", top, {"dropout_ratio": 0.5})
    top = relu(net, "relu_conv_final",
               conv(net, "conv_final", top, 1000, 1, no_rates, pad=1))
    average_pool(net, "pool_final", top)
    proto = net.to_proto()
    proto.name = "SqueezeNet"
    return CommentedNet(proto, {"conv_final": "Classifier"})


def _fire(net, number, bottom, rates):
    """Squeeze to few channels, then expand by 1x1 and 3x3 convolutions side by side."""
    squeeze, expand = FIRES[number]
    fire = f"fire{number}"

    def branch(name, below, width, kernel):
        return conv_relu(net, f"{fire}/{name}", below, width, kernel, rates, f"{fire}/relu_{name}",
                         pad=kernel // 2)

    squeezed = branch("conv1x1_1", bottom, squeeze, 1)
    sides = [branch("conv1x1_2", squeezed, expand, 1), branch("conv3x3_2", squeezed, expand, 3)]
    net[f"{fire}/concat"] = L.Concat(*[net[side] for side in sides], name=f"{fire}/concat")
    return f"{fire}/concat"


# fc6 and fc7 are new, since SqueezeNet classifies by a convolution, and so free to stand on
# ROIAlign; anchors from 32 pixels on
SQUEEZENET = Backbone(
    "SqueezeNet", "SqueezeNet", "squeezenet", detector_features, channels=512, rpn_width=256,
    pooled=6, aligned=True, widths=(512, 512), frozen=("conv1",),
    anchors=AnchorOptions(scales=(2, 4, 8, 16, 32)), fc_filler=xavier(), dropout=None,
    carried=("relu6",), cls_loss=LABELS_BLOCKED, base_lr=0.01)
