"""The nets that every runtime is measured with, in the form of their published prototxts.

    message = NETS["ResNet-50"]()      # a NetParameter: input "data", one output

The trunks end with the features that a detector looks at. What the detectors' backbones
(faster_rcnn.networks.backbones) have in the published form is theirs.
"""
from collections.abc import Callable
from functools import partial
from typing import Any

import caffe
from caffe import layers as L
from caffe.net_spec import NetSpec
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.networks.backbones.layers import Rates, no_rates
from faster_rcnn.networks.backbones.resnet import UNITS_50, resnet_features, stage
from faster_rcnn.networks.backbones.squeezenet import squeezenet_features
from faster_rcnn.networks.backbones.vgg import vgg16_features
from faster_rcnn.networks.backbones.zf import zf_features

MAX, AVE = 0, 1


class _Net:
    """A NetSpec that is written layer by layer, each on top of the last."""

    def __init__(self, height: int, width: int) -> None:
        self.spec = caffe.NetSpec()
        self.spec.data = L.Input(input_param={"shape": {"dim": [1, 3, height, width]}})
        self.top = self.spec.data
        self.last = "data"      # name of the last top
        self._count = 0

    def add(self, kind: str, *bottoms: Any, in_place: bool = False, **options: Any) -> Any:
        """Adds a layer on the last top, or on other ones; returns its top."""
        self._count += 1
        made = getattr(L, kind)(*(bottoms or (self.top,)), in_place=in_place, **options)
        self.last = f"{kind.lower()}{self._count}"
        self.spec[self.last] = self.top = made
        return made

    def shared(self, features: Callable[[NetSpec, Rates], str]) -> None:
        """Adds the layers of a detector's backbone, which start at "data" or at the last top."""
        self.last = features(self.spec, no_rates)
        self.top = self.spec[self.last]

    def conv(self, outputs: int, kernel: int, stride: int = 1, pad: int = 0, relu: bool = True,
             group: int = 1, bottom: Any = None) -> Any:
        """Convolution with bias, and ReLU in place."""
        self.add("Convolution", *([bottom] if bottom is not None else []), num_output=outputs,
                 kernel_size=kernel, stride=stride, pad=pad, group=group)
        return self.add("ReLU", in_place=True) if relu else self.top

    def conv_bn(self, outputs: int, kernel: int, stride: int = 1, pad: int = 0, relu: bool = True,
                group: int = 1, bottom: Any = None) -> Any:
        """Convolution without bias, BatchNorm, Scale and ReLU, all in place."""
        self.add("Convolution", *([bottom] if bottom is not None else []), num_output=outputs,
                 kernel_size=kernel, stride=stride, pad=pad, group=group, bias_term=False)
        self.add("BatchNorm", in_place=True, use_global_stats=True)
        self.add("Scale", in_place=True, bias_term=True)
        return self.add("ReLU", in_place=True) if relu else self.top

    def pool(self, kernel: int = 3, stride: int = 2, pad: int = 0, kind: int = MAX,
             bottom: Any = None) -> Any:
        return self.add("Pooling", *([bottom] if bottom is not None else []), pool=kind,
                        kernel_size=kernel, stride=stride, pad=pad)

    def lrn(self) -> Any:
        return self.add("LRN", local_size=5, alpha=1e-4, beta=0.75)

    def dense(self, outputs: int, relu: bool = True) -> Any:
        """InnerProduct, with ReLU and Dropout unless it is the last."""
        self.add("InnerProduct", num_output=outputs)
        if relu:
            self.add("ReLU", in_place=True)
            self.add("Dropout", in_place=True)
        return self.top

    def message(self) -> NetParameter:
        return self.spec.to_proto()

    def scores(self) -> NetParameter:
        self.add("Softmax")
        return self.message()


def alexnet() -> NetParameter:
    """BVLC's CaffeNet (Krizhevsky et al. 2012), 227 x 227."""
    net = _Net(227, 227)
    net.conv(96, 11, 4), net.pool(), net.lrn()
    net.conv(256, 5, pad=2, group=2), net.pool(), net.lrn()
    net.conv(384, 3, pad=1), net.conv(384, 3, pad=1, group=2), net.conv(256, 3, pad=1, group=2)
    net.pool()
    net.dense(4096), net.dense(4096), net.dense(1000, relu=False)
    return net.scores()


def googlenet() -> NetParameter:
    """GoogLeNet (Szegedy et al. 2014) without its training heads."""
    net = _Net(224, 224)
    net.conv(64, 7, 2, 3), net.pool(), net.lrn()
    net.conv(64, 1), net.conv(192, 3, pad=1), net.lrn(), net.pool()
    for sizes in ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)):
        _inception(net, *sizes)
    net.pool()
    for sizes in ((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64),
                  (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
                  (256, 160, 320, 32, 128, 128)):
        _inception(net, *sizes)
    net.pool()
    for sizes in ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)):
        _inception(net, *sizes)
    net.pool(7, 1, kind=AVE)
    net.add("Dropout", in_place=True)
    net.dense(1000, relu=False)
    return net.scores()


def _inception(net: _Net, one: int, reduce3: int, three: int, reduce5: int, five: int,
               pooled: int) -> None:
    below = net.top
    parts = [net.conv(one, 1, bottom=below)]
    net.conv(reduce3, 1, bottom=below)
    parts.append(net.conv(three, 3, pad=1))
    net.conv(reduce5, 1, bottom=below)
    parts.append(net.conv(five, 5, pad=2))
    net.pool(3, 1, 1, bottom=below)
    parts.append(net.conv(pooled, 1))
    net.add("Concat", *parts)


def squeezenet() -> NetParameter:
    """SqueezeNet 1.0 (Iandola et al. 2016), 227 x 227."""
    net = _Net(227, 227)
    net.shared(squeezenet_features)
    net.add("Dropout", in_place=True)
    net.conv(1000, 1)
    net.add("Pooling", pool=AVE, global_pooling=True)
    return net.scores()


def vgg16() -> NetParameter:
    """VGG16 (Simonyan and Zisserman 2014)."""
    net = _Net(224, 224)
    net.shared(vgg16_features)
    net.pool(2, 2)
    net.dense(4096), net.dense(4096), net.dense(1000, relu=False)
    return net.scores()


def _resnet50_features(net: NetSpec, rates: Rates) -> str:
    return resnet_features(net, rates, UNITS_50, conv1_bias=False)


def resnet50() -> NetParameter:
    """ResNet-50 (He et al. 2015)."""
    net = _Net(224, 224)
    net.shared(_resnet50_features)
    net.shared(lambda spec, rates: stage(spec, net.last, rates, 5, UNITS_50[5], stride=2))
    net.add("Pooling", pool=AVE, global_pooling=True)
    net.dense(1000, relu=False)
    return net.scores()


def trunk(features: Callable[[NetSpec, Rates], str], height: int = 600,
          width: int = 800) -> NetParameter:
    """The layers that RPN and head of a detector share."""
    net = _Net(height, width)
    net.shared(features)
    return net.message()


def mobilenet() -> NetParameter:
    """MobileNet v1 (Howard et al. 2017)."""
    net = _Net(224, 224)
    net.conv_bn(32, 3, 2, 1)
    channels = 32
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1),
                            (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)):
        net.conv_bn(channels, 3, stride, 1, group=channels)
        net.conv_bn(outputs, 1)
        channels = outputs
    net.add("Pooling", pool=AVE, global_pooling=True)
    net.conv(1000, 1, relu=False)
    return net.scores()


NETS: dict[str, Callable[[], NetParameter]] = {
    "AlexNet": alexnet, "GoogLeNet": googlenet, "SqueezeNet": squeezenet, "VGG16": vgg16,
    "ResNet-50": resnet50, "MobileNet": mobilenet, "ZF trunk": partial(trunk, zf_features),
    "VGG16 trunk": partial(trunk, vgg16_features),
    "ResNet-50 trunk": partial(trunk, _resnet50_features)}
