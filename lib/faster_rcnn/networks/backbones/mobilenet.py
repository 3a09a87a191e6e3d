"""MobileNet v1 (Howard et al. 2017): layers with the names of MobileNet-Caffe.

A block is a 3x3 convolution of each channel by itself (dw) and a 1x1 convolution across them (sep).
"""
from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, Backbone
from faster_rcnn.networks.backbones.layers import Rates, average_pool, conv, frozen_norm, relu

# name: (channels in, channels out, stride)
SHARED = {"2_1": (32, 64, 1), "2_2": (64, 128, 2), "3_1": (128, 128, 1), "3_2": (128, 256, 2),
          "4_1": (256, 256, 1), "4_2": (256, 512, 2),
          **{f"5_{number}": (512, 512, 1) for number in range(1, 6)}}
FROZEN = ("conv1", "conv2_1/dw", "conv2_1/sep")
# The published weights are for images less their mean, times this
INPUT_SCALE = 0.017


def mobilenet_features(net: NetSpec, rates: Rates) -> str:
    """conv1 to conv5_5: 512 channels at stride 16."""
    net["data_scaled"] = L.Power(net["data"], name="data_scaled",
                                 power_param={"scale": INPUT_SCALE})
    top = _normalised(net, "conv1", "relu1", "data_scaled", rates, num_output=32, kernel=3, pad=1,
                      stride=2)
    for name, block in SHARED.items():
        top = _block(net, name, top, rates, *block)
    return top


def mobilenet_head(net: NetSpec, bottom: str, rates: Rates, stride: int) -> str:
    """The last two blocks on pooled features, then their average: 1024 numbers per roi."""
    top = _block(net, "5_6", bottom, rates, 512, 1024, stride)
    top = _block(net, "6", top, rates, 1024, 1024, 1)
    return average_pool(net, "pool6", top)


def _block(net, name, bottom, rates, channels, num_output, stride):
    top = _normalised(net, f"conv{name}/dw", f"relu{name}/dw", bottom, rates, num_output=channels,
                      kernel=3, pad=1, stride=stride, group=channels)
    return _normalised(net, f"conv{name}/sep", f"relu{name}/sep", top, rates,
                       num_output=num_output, kernel=1)


def _normalised(net, name, relu_name, bottom, rates, **geometry):
    """A convolution without bias, its normalisation and its ReLU."""
    top = conv(net, name, bottom, rates=rates, bias=False, **geometry)
    return relu(net, relu_name, frozen_norm(net, top, f"{name}/bn", f"{name}/scale", rates))


MOBILENET = Backbone(
    "MobileNet", "MobileNet", "mobilenet", mobilenet_features, channels=512, rpn_width=256,
    pooled=14, head=mobilenet_head, frozen=FROZEN, pool_names=("roi_pool", "roi_pool"),
    cls_loss=LABELS_BLOCKED, iter_size=2, pixel_means=(103.94, 116.78, 123.68))
