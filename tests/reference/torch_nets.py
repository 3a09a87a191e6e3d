"""The nets that checkpoints come from, built of nn layers, narrow; and Caffe nets of their size."""
import torch
from torch import nn

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L

VGG = (2, 2, 3, 3, 3)


def vgg_features(widths=(4, 5, 6, 7, 8)):
    """torchvision's vgg16().features without the last pooling, in its numbering."""
    modules, channels = [], 3
    for stage, (count, width) in enumerate(zip(VGG, widths)):
        modules += [nn.MaxPool2d(2, 2)] if stage else []
        for _ in range(count):
            modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*modules)


class Vgg16(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(*vgg_features(), nn.MaxPool2d(2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(8 * 4, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 10), nn.ReLU(),
            nn.Dropout(), nn.Linear(10, 7))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def caffe_vgg_convolutions(net, widths=(4, 5, 6, 7, 8)):
    top = "data"
    for stage, (count, width) in enumerate(zip(VGG, widths), 1):
        if stage > 1:
            net[f"pool{stage - 1}"] = L.Pooling(net[top], kernel_size=2, stride=2)
            top = f"pool{stage - 1}"
        for i in range(1, count + 1):
            name = f"conv{stage}_{i}"
            net[name] = L.Convolution(net[top], num_output=width, kernel_size=3, pad=1)
            net[name + "_relu"] = L.ReLU(net[name], in_place=True)
            top = name + "_relu"
    return top


def caffe_vgg16():
    net = NetSpec()
    net.data = L.Input(shape={"dim": [1, 3, 64, 64]})
    net.pool5 = L.Pooling(net[caffe_vgg_convolutions(net)], kernel_size=2, stride=2)
    net.fc6 = L.InnerProduct(net.pool5, num_output=12)
    net.relu6 = L.ReLU(net.fc6, in_place=True)
    net.fc7 = L.InnerProduct(net.relu6, num_output=10)
    net.relu7 = L.ReLU(net.fc7, in_place=True)
    net.fc8 = L.InnerProduct(net.relu7, num_output=7)
    return net.to_proto()


class Bottleneck(nn.Module):
    """torchvision's, "v1.5": the stride is in the 3x3 convolution."""

    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if stride != 1 or inputs != 4 * width:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False),
                                            nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    def __init__(self, blocks=(3, 4, 6, 3), width=2, block=Bottleneck):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for stage, count in enumerate(blocks):
            layer, inner = [], width * 2 ** stage
            for i in range(count):
                layer.append(block(inputs, inner, 2 if stage and not i else 1))
                inputs = block.expansion * inner
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(inputs, 5)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def _conv_bn_scale(net, bottom, name, norm, relu=True, bias=False, **geometry):
    net[name] = L.Convolution(net[bottom], bias_term=bias, **geometry)
    net["bn" + norm] = L.BatchNorm(net[name], in_place=True)
    net["scale" + norm] = L.Scale(net["bn" + norm], bias_term=True, in_place=True)
    if relu:
        net[name + "_relu"] = L.ReLU(net["scale" + norm], in_place=True)
    return name + "_relu" if relu else "scale" + norm


def caffe_resnet50(width=2):
    """As deep-residual-networks has it: the stride in branch2a, pool1 without a pad."""
    net = NetSpec()
    net.data = L.Input(shape={"dim": [1, 3, 64, 64]})
    top = _conv_bn_scale(net, "data", "conv1", "_conv1", bias=True, num_output=width,
                         kernel_size=7, pad=3, stride=2)
    net.pool1 = L.Pooling(net[top], kernel_size=3, stride=2)
    top = "pool1"
    for stage, count in enumerate((3, 4, 6, 3), 2):
        for letter in "abcdef"[:count]:
            top = _caffe_block(net, top, f"{stage}{letter}", width * 2 ** (stage - 2))
    net.pool5 = L.Pooling(net[top], pool="AVE", global_pooling=True)
    net.fc1000 = L.InnerProduct(net.pool5, num_output=5)
    return net.to_proto()


def _caffe_block(net, bottom, name, width):
    stride = 2 if name[1] == "a" and name[0] != "2" else 1
    side = bottom
    if name[1] == "a":
        side = _conv_bn_scale(net, bottom, f"res{name}_branch1", f"{name}_branch1", relu=False,
                              num_output=4 * width, kernel_size=1, stride=stride)
    top = bottom
    for part, outputs, kernel, step in (("2a", width, 1, stride), ("2b", width, 3, 1),
                                        ("2c", 4 * width, 1, 1)):
        top = _conv_bn_scale(net, top, f"res{name}_branch{part}", f"{name}_branch{part}",
                             relu=part != "2c", num_output=outputs, kernel_size=kernel,
                             pad=kernel // 2, stride=step)
    net[f"res{name}"] = L.Eltwise(net[side], net[top])
    net[f"res{name}_relu"] = L.ReLU(net[f"res{name}"], in_place=True)
    return f"res{name}_relu"


class Fire(nn.Module):
    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


class SqueezeNet(nn.Module):
    """torchvision's squeezenet1_0, in full."""

    def __init__(self):
        super().__init__()
        pool = [nn.MaxPool2d(3, 2, ceil_mode=True)]
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, 2), nn.ReLU(), *pool, Fire(96, 16, 64), Fire(128, 16, 64),
            Fire(128, 32, 128), *pool, Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192),
            Fire(384, 64, 256), *pool, Fire(512, 64, 256))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU())

    def forward(self, x):
        return self.classifier(self.features(x)).mean((2, 3))


class SimpleFasterRcnn(nn.Module):
    """simple-faster-rcnn-pytorch's layers: extractor, rpn, head (use_drop: with Dropout)."""

    def __init__(self, use_drop=False, classes=3):
        super().__init__()
        self.extractor = vgg_features()
        self.rpn, self.head = nn.Module(), nn.Module()
        self.rpn.conv1 = nn.Conv2d(8, 8, 3, 1, 1)
        self.rpn.score = nn.Conv2d(8, 18, 1)
        self.rpn.loc = nn.Conv2d(8, 36, 1)
        dropout = [nn.Dropout()] if use_drop else []
        self.head.classifier = nn.Sequential(nn.Linear(8 * 49, 10), nn.ReLU(), *dropout,
                                             nn.Linear(10, 10), nn.ReLU(), *dropout)
        self.head.cls_loc = nn.Linear(10, 4 * classes)
        self.head.score = nn.Linear(10, classes)


def caffe_detector(classes=3):
    """Our VGG16 test net up to the RPN's deltas, and the head on a blob "pool5"."""
    net = NetSpec()
    net.data = L.Input(shape={"dim": [1, 3, 64, 80]})
    net.pool5 = L.Input(shape={"dim": [1, 8, 7, 7]})
    top = caffe_vgg_convolutions(net)
    net["rpn/output"] = L.Convolution(net[top], name="rpn_conv/3x3", num_output=8, kernel_size=3,
                                      pad=1)
    net["rpn_relu"] = L.ReLU(net["rpn/output"], in_place=True)
    for name, outputs in (("rpn_cls_score", 18), ("rpn_bbox_pred", 36)):
        net[name] = L.Convolution(net["rpn_relu"], num_output=outputs, kernel_size=1)
    net.fc6 = L.InnerProduct(net.pool5, num_output=10)
    net.relu6 = L.ReLU(net.fc6, in_place=True)
    net.fc7 = L.InnerProduct(net.relu6, num_output=10)
    net.relu7 = L.ReLU(net.fc7, in_place=True)
    for name, outputs in (("cls_score", classes), ("bbox_pred", 4 * classes)):
        net[name] = L.InnerProduct(net.relu7, num_output=outputs)
    return net.to_proto()


def randomized(module, seed=0):
    """The module in eval mode: weights that keep activations of ordinary size (He), biases and
    batch statistics away from 0 and 1."""
    torch.manual_seed(seed)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if name.endswith("bias"):
            tensor.data.normal_(0, 0.1)
        elif tensor.dim() > 1:
            tensor.data.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        elif tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5)
    return module.eval()
