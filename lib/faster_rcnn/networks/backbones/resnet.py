"""ResNet-50 and ResNet-101 (He et al. 2016): layers with the names of deep-residual-networks.

A unit is three convolutions beside a shortcut; a stage is a row of units, the first of which may
halve the features. Statistics and scales of the normalisations stay as in the initial weights.
"""
from collections.abc import Mapping, Sequence
from dataclasses import replace

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from faster_rcnn.networks.backbones.description import LABELS_BLOCKED, Backbone
from faster_rcnn.networks.backbones.layers import Rates, conv, frozen_norm, max_pool, relu

# Names of the units of each stage
UNITS_50 = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}
UNITS_101 = {2: "abc", 3: ["a", "b1", "b2", "b3"],
             4: ["a"] + [f"b{number}" for number in range(1, 23)], 5: "abc"}
WIDTHS = {2: 64, 3: 128, 4: 256, 5: 512}    # of a unit's inner convolutions; its top has 4 times
# conv1 and the second stage, which detectors leave alone
FROZEN = ("conv1", "res2a_branch1") + tuple(
    f"res2{unit}_branch2{branch}" for unit in "abc" for branch in "abc")


def resnet50_features(net: NetSpec, rates: Rates) -> str:
    """conv1 (which has a bias) to res4f: 1024 channels at stride 16."""
    return resnet_features(net, rates, UNITS_50, conv1_bias=True)


def resnet101_features(net: NetSpec, rates: Rates) -> str:
    """conv1 to res4b22: 1024 channels at stride 16."""
    return resnet_features(net, rates, UNITS_101, conv1_bias=False)


def resnet_head(net: NetSpec, bottom: str, rates: Rates, stride: int) -> str:
    """The fifth stage on pooled features, then their average: 2048 numbers per roi."""
    top = stage(net, bottom, rates, 5, "abc", stride)
    net["pool5"] = L.Pooling(net[top], name="pool5",
                             pooling_param={"pool": "AVE", "kernel_size": 7, "stride": 1})
    return "pool5"


def stage(net: NetSpec, bottom: str, rates: Rates, number: int, units: Sequence[str], stride: int,
          dilation: int = 1) -> str:
    """A stage; its first unit has the stride and a projection as shortcut."""
    top = bottom
    for index, unit in enumerate(units):
        top = _unit(net, f"{number}{unit}", top, WIDTHS[number], rates,
                    None if index else stride, dilation)
    return top


def resnet_features(net: NetSpec, rates: Rates, units: Mapping[int, Sequence[str]],
                    conv1_bias: bool) -> str:
    """conv1 to the last unit of the fourth stage; units: their names, by stage."""
    top = _normalised(net, "conv1", "_conv1", "data", rates, num_output=64, kernel=7, pad=3,
                      stride=2, bias=conv1_bias)
    top = max_pool(net, "pool1", relu(net, "conv1_relu", top), 3, 2)
    for number in (2, 3, 4):
        top = stage(net, top, rates, number, units[number], stride=1 if number == 2 else 2)
    return top


def _unit(net, name, bottom, width, rates, stride, dilation):
    """Three convolutions beside the shortcut; stride None: the shortcut is the bottom itself."""
    def branch(suffix, below, num_output, **geometry):
        return _normalised(net, f"res{name}_{suffix}", f"{name}_{suffix}", below, rates,
                           num_output=num_output, **geometry)

    def branch_relu(suffix, *args, **geometry):
        return relu(net, f"res{name}_{suffix}_relu", branch(suffix, *args, **geometry))

    shortcut = bottom
    if stride:
        shortcut = branch("branch1", bottom, 4 * width, kernel=1, stride=stride)
    top = branch_relu("branch2a", bottom, width, kernel=1, stride=stride or 1)
    top = branch_relu("branch2b", top, width, kernel=3, pad=dilation, dilation=dilation)
    top = branch("branch2c", top, 4 * width, kernel=1)
    net[f"res{name}"] = L.Eltwise(net[shortcut], net[top], name=f"res{name}")
    return relu(net, f"res{name}_relu", f"res{name}")


def _normalised(net, name, norm, bottom, rates, bias=False, **geometry):
    """A convolution and its normalisation, in place: layers bn<norm> and scale<norm>."""
    top = conv(net, name, bottom, rates=rates, bias=bias, **geometry)
    return frozen_norm(net, top, f"bn{norm}", f"scale{norm}", rates, in_place=True)


# Shared layers and head as in the paper: the fifth stage runs on each roi
RESNET_50 = Backbone(
    "ResNet-50", "ResNet-50", "resnet50", resnet50_features, channels=1024, rpn_width=512,
    pooled=14, head=resnet_head, frozen=FROZEN, pool_names=("roi_pool", "roi_pool"),
    cls_loss=LABELS_BLOCKED, iter_size=2)
RESNET_101 = replace(RESNET_50, folder="ResNet-101", title="ResNet-101", prefix="resnet101",
                     features=resnet101_features)
